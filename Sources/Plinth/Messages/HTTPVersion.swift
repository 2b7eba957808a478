// SPDX-License-Identifier: Apache-2.0

/// The version of HTTP that a request came with.
///
/// It decides how a body without a known length ends: HTTP/1.0 by closing the connection, HTTP/1.1 by chunks, HTTP/2 by
/// a flag on a frame (RFC 9112, section 6; RFC 9113, section 8.1).
public struct HTTPVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The number before the dot.
    public let major: Int
    /// The number after the dot.
    public let minor: Int

    /// A version by its two numbers.
    public init(major: Int, minor: Int) {
        self.major = major
        self.minor = minor
    }

    // swift-format-ignore: AlwaysUseLowerCamelCase
    // The names that NIO has for them, and that Swift users know.
    /// HTTP/1.0: no chunks, one request a connection unless the client asks otherwise.
    public static let http1_0 = HTTPVersion(major: 1, minor: 0)
    // swift-format-ignore: AlwaysUseLowerCamelCase
    /// HTTP/1.1.
    public static let http1_1 = HTTPVersion(major: 1, minor: 1)
    /// HTTP/2.
    public static let http2 = HTTPVersion(major: 2, minor: 0)

    /// Whether the first version is older than the second.
    public static func < (lhs: HTTPVersion, rhs: HTTPVersion) -> Bool {
        (lhs.major, lhs.minor) < (rhs.major, rhs.minor)
    }

    /// `HTTP/1.1`.
    public var description: String { "HTTP/\(major).\(minor)" }
}
