// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// What an error of a socket call means for its stream.
package enum SocketError: Sendable, Equatable {
    /// A signal interrupted the call; call again.
    case interrupted
    /// The socket's buffer is full or empty; the kernel reports when that changes.
    case wouldBlock
    /// The kernel is out of memory, and does not report when it has some again.
    case starved
    /// The connection has ended.
    case ended(StreamEnd)

    /// The meaning of an error number.
    package init(_ errorNumber: CInt) {
        self =
            switch errorNumber {
            case EINTR: .interrupted
            case EAGAIN, EWOULDBLOCK: .wouldBlock
            case ENOBUFS, ENOMEM: .starved
            case EPIPE, ECONNRESET: .ended(.clientClosed)
            case ETIMEDOUT: .ended(.timedOut)
            default: .ended(.writeFailed)
            }
    }

    /// The end of a stream whose connection reports an error outside of a read or write, as with `SO_ERROR`.
    package static func end(_ errorNumber: CInt) -> StreamEnd {
        if case .ended(let end) = SocketError(errorNumber) { end } else { .writeFailed }
    }
}
