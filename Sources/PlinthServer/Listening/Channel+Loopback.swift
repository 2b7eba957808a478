// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore

extension Channel {
    /// Whether the socket that accepted this connection, or that of this HTTP/2 stream, listens on a loopback address.
    ///
    /// Not the connection's own address: to a socket that listens on all addresses clients of this machine come by
    /// loopback, too, and others do not.
    var isOfLoopbackListener: Bool {
        var listener: any Channel = self
        while let parent = listener.parent { listener = parent }
        return listener.localAddress?.isLoopback ?? false
    }
}

extension SocketAddress {
    /// Whether only this machine reaches it; a Unix socket has files' permissions instead.
    var isLoopback: Bool {
        guard let address = ipAddress else { return false }
        return address == "::1" || address.hasPrefix("127.") || address.hasPrefix("::ffff:127.")
    }
}

#endif
