// SPDX-License-Identifier: Apache-2.0

/// The HTTP version of a request.
///
/// It determines how a body of unknown length ends: HTTP/1.0 closes the connection, HTTP/1.1 uses chunked encoding,
/// HTTP/2 sets END_STREAM on a frame (RFC 9112, section 6; RFC 9113, section 8.1).
public struct HTTPVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The major version.
    public let major: Int
    /// The minor version.
    public let minor: Int

    /// Creates a version from its major and minor numbers.
    public init(major: Int, minor: Int) {
        self.major = major
        self.minor = minor
    }

    // swift-format-ignore: AlwaysUseLowerCamelCase
    // The names that NIO uses.
    /// HTTP/1.0: no chunked encoding, and one request per connection unless the client requests keep-alive.
    public static let http1_0 = HTTPVersion(major: 1, minor: 0)
    // swift-format-ignore: AlwaysUseLowerCamelCase
    /// HTTP/1.1.
    public static let http1_1 = HTTPVersion(major: 1, minor: 1)
    /// HTTP/2.
    public static let http2 = HTTPVersion(major: 2, minor: 0)

    /// Orders versions by major, then minor number.
    public static func < (lhs: HTTPVersion, rhs: HTTPVersion) -> Bool {
        (lhs.major, lhs.minor) < (rhs.major, rhs.minor)
    }

    /// `HTTP/1.1`.
    public var description: String { "HTTP/\(major).\(minor)" }
}
