// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore

/// An address that a connector listens on.
public struct BoundAddress: Sendable, Hashable, CustomStringConvertible {
    /// The IP address; nil for a Unix socket.
    public let host: String?
    /// The port; nil for a Unix socket.
    public let port: Int?
    /// The path of a Unix socket; nil otherwise.
    public let path: String?

    init(_ address: SocketAddress?) {
        host = address?.ipAddress
        port = address?.port
        path = address?.pathname.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Whether only processes of this machine can reach it: a loopback address or a Unix socket.
    public var isLoopback: Bool {
        guard let host else { return path != nil }
        return host == "::1" || host.hasPrefix("127.") || host.hasPrefix("::ffff:127.")
    }

    /// `127.0.0.1:8080`, or the path of a Unix socket.
    public var description: String {
        if let path { return path }
        guard let host, let port else { return "unknown" }
        return host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}

#endif
