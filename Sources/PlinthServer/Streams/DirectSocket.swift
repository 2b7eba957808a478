// SPDX-License-Identifier: Apache-2.0

#if Server

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif
import NIOCore
import Plinth

/// The socket of a NIO channel, for sends that bypass the channel.
///
/// Invariants: it is used only on the channel's event loop while the channel is active, so the descriptor is open and
/// the channel's own; and only while NIO buffers no bytes for it, so the order is kept.
struct DirectSocket {
    private let descriptor: CInt

    /// The socket of a channel; nil if it has none of its own.
    init?(of channel: any Channel) {
        guard
            let descriptor = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
                of: NIOBSDSocket.Handle.self,
                { $0 }
            )
        else { return nil }
        self.descriptor = descriptor
    }

    /// Duplicates the descriptor; the copy stays open when the channel closes its own.
    ///
    /// - Returns: The copy, which the caller owns; nil from ``DescriptorLimit/handOffBound`` on, or if none is free.
    func duplicate() -> CInt? {
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { return nil }
        guard Int(copy) < DescriptorLimit.handOffBound else {
            close(copy)
            return nil
        }
        return copy
    }

    /// Bounds the unsent bytes that the kernel holds for a stalled reader.
    ///
    /// Errors are ignored: it may be a Unix socket, or already broken, which its first use reports.
    func limitUnsent() {
        var limit = SocketLimits.unsent
        // The kernel copies the variable's bytes during the call.
        setsockopt(descriptor, CInt(IPPROTO_TCP), TCP_NOTSENT_LOWAT, &limit, socklen_t(MemoryLayout<CInt>.size))
    }

    /// Sends what the socket has room for, without blocking.
    func send(_ bytes: UnsafeRawBufferPointer) -> StreamWrite {
        while true {
            let count = systemSend(descriptor, bytes.baseAddress, bytes.count, Self.flags)
            if count >= 0 { return .took(count) }
            switch SocketError(errno) {
            case .interrupted: continue
            case .wouldBlock, .starved: return .took(0)
            case .ended(let end): return .failed(end)
            }
        }
    }

    #if canImport(Glibc) || canImport(Musl)
    private static let flags = CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL)
    #else
    // Elsewhere NIO has made the socket non-blocking, and suppressed SIGPIPE.
    private static let flags: CInt = 0
    #endif
}

private func systemSend(_ descriptor: CInt, _ bytes: UnsafeRawPointer?, _ count: Int, _ flags: CInt) -> Int {
    send(descriptor, bytes, count, flags)
}

#endif
