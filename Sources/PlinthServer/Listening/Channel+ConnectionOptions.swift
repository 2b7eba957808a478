// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import Plinth

extension Channel {
    /// Enables TCP keep-alive (RFC 9293, section 3.8.4), and sets `TCP_USER_TIMEOUT` (RFC 5482), where there is one.
    ///
    /// On Linux, the kernel probes a silent peer after 60 s, then every 15 s, four times. An upload may be silent for
    /// longer than any timeout of the connector. There, connections have the options that their listening socket had when
    /// they were established, so that accepting one takes no system call for them. A Unix socket has no such options, and
    /// needs none.
    ///
    /// - Parameter acknowledgementTimeout: How long sent bytes may stay unacknowledged; nil for the system's limit.
    func setConnectionOptions(acknowledgementTimeout: Duration?) {
        try? syncOptions?.setOption(.socketOption(.so_keepalive), value: 1)
        #if os(Linux)
        // TCP_NODELAY, which NIO sets on Linux for sockets that it binds; TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT,
        // TCP_USER_TIMEOUT.
        // 0 is the system's limit, in place of one that an earlier process has set on the socket.
        let milliseconds = acknowledgementTimeout.map {
            min(max($0.clampedNanoseconds / 1_000_000, 1), Int64(Int32.max))
        }
        let options: [(name: CInt, value: SocketOptionValue)] = [
            (1, 1), (4, 60), (5, 15), (6, 4), (18, SocketOptionValue(milliseconds ?? 0)),
        ]
        for (name, value) in options {
            try? syncOptions?.setOption(
                ChannelOptions.Types.SocketOption(level: .tcp, name: .init(rawValue: name)),
                value: value
            )
        }
        #endif
    }
}

#endif
