// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore

extension Channel {
    /// Whether the listener of this connection or HTTP/2 stream is bound to a loopback address.
    ///
    /// The connection's own address does not tell: a listener on all addresses also accepts local clients over
    /// loopback.
    var isOfLoopbackListener: Bool { listenerAddress?.isLoopback ?? false }

    /// Whether the listener of this connection or HTTP/2 stream is a Unix socket.
    var isOfUnixListener: Bool {
        if case .unixDomainSocket? = listenerAddress { true } else { false }
    }

    private var listenerAddress: SocketAddress? {
        var listener: any Channel = self
        while let parent = listener.parent { listener = parent }
        return listener.localAddress
    }
}

extension SocketAddress {
    /// Whether it is reachable from this machine only.
    ///
    /// False for a Unix socket, which file permissions protect.
    var isLoopback: Bool {
        guard let address = ipAddress else { return false }
        return address == "::1" || address.hasPrefix("127.") || address.hasPrefix("::ffff:127.")
    }
}

#endif
