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

/// The socket under a NIO channel, for sends that need nothing of what NIO does around one.
///
/// Invariants: it is used on the channel's event loop while the channel is active, so that the descriptor is open and the
/// channel's own; and only while NIO holds no bytes of its own for it, so that the order is kept.
struct DirectSocket {
    private let descriptor: CInt

    /// The socket of a channel, nil if it has none of its own.
    init?(of channel: any Channel) {
        guard
            let descriptor = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
                of: NIOBSDSocket.Handle.self,
                { $0 }
            )
        else { return nil }
        self.descriptor = descriptor
    }

    /// Another descriptor of the same socket, which stays open when the channel closes its own.
    ///
    /// - Returns: The descriptor, the caller's own; nil if the process has few left.
    func duplicate() -> CInt? {
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { return nil }
        guard Int(copy) < DescriptorLimit.handOffBound else {
            close(copy)
            return nil
        }
        return copy
    }

    /// Bounds what the kernel holds for a reader that stalls.
    ///
    /// Errors are left aside: it may be a Unix socket, or broken already, which its first use tells.
    func limitUnsent() {
        var limit = SocketLimits.unsent
        // The kernel copies the variable's bytes during the call.
        setsockopt(descriptor, CInt(IPPROTO_TCP), TCP_NOTSENT_LOWAT, &limit, socklen_t(MemoryLayout<CInt>.size))
    }

    /// Sends what fits without waiting.
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
    // Elsewhere NIO has set the socket so that it neither blocks nor raises a signal.
    private static let flags: CInt = 0
    #endif
}

private func systemSend(_ descriptor: CInt, _ bytes: UnsafeRawPointer?, _ count: Int, _ flags: CInt) -> Int {
    send(descriptor, bytes, count, flags)
}

#endif
