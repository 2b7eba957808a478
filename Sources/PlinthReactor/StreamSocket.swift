// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif
import PlinthHub

/// A connected socket that the reactor owns.
///
/// Invariant: the descriptor is open until ``close()``, which is called once, by the code that removes the socket from
/// its table. No function blocks, even if the descriptor is blocking.
struct StreamSocket {
    let descriptor: CInt

    /// The result of reading input.
    enum Input {
        /// There is no input for now.
        case none
        /// There may be more input.
        case more
        /// The peer has closed its output, or the connection is broken.
        case ended(StreamEnd)
    }

    /// Sets the TCP options for streams.
    ///
    /// Errors are ignored: it may be a Unix socket, or already broken, which its first use reports.
    ///
    /// - Parameter writeTimeout: Milliseconds after which the kernel drops a peer that acknowledges nothing; nil for
    ///   the kernel's default, about 15 minutes.
    func prepare(writeTimeout: CInt?) {
        setTCPOption(TCP_NODELAY, 1)
        setTCPOption(TCP_NOTSENT_LOWAT, SocketLimits.unsent)
        if let writeTimeout { setTCPOption(TCP_USER_TIMEOUT, writeTimeout) }
    }

    private func setTCPOption(_ name: CInt, _ value: CInt) {
        var value = value
        // The kernel copies exactly the variable's bytes.
        _ = unsafe setsockopt(descriptor, CInt(IPPROTO_TCP), name, &value, socklen_t(MemoryLayout<CInt>.size))
    }

    /// Sends what the socket has room for.
    ///
    /// - Parameter bytes: Valid during the call.
    /// - Returns: The number of bytes taken, or why the stream has ended; and whether the kernel lacked memory: epoll
    ///   then does not report when to retry.
    @inline(__always)
    func write(_ bytes: UnsafeRawBufferPointer) -> (outcome: StreamWrite, isStarved: Bool) {
        while true {
            let count = unsafe send(descriptor, bytes.baseAddress, bytes.count, Self.flags)
            if count >= 0 { return (.took(count), false) }
            switch SocketError(errno) {
            case .interrupted: continue
            case .wouldBlock: return (.took(0), false)
            case .starved: return (.took(0), true)
            case .ended(let end): return (.failed(end), false)
            }
        }
    }

    private static let flags = CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL)

    /// Reads and discards the client's input.
    ///
    /// - Parameter buffer: Scratch space.
    /// - Returns: Whether there may be more input, now or later.
    func discardInput(_ buffer: UnsafeMutableRawBufferPointer) -> Input {
        // Bounded, so a client that never stops sending cannot starve the others.
        for _ in 0..<4 {
            // The kernel writes no more than the buffer's count.
            let count = unsafe recv(descriptor, buffer.baseAddress, buffer.count, CInt(MSG_DONTWAIT))
            if count == 0 { return .ended(.clientClosed) }
            if count < 0 {
                switch SocketError(errno) {
                case .interrupted: continue
                case .wouldBlock, .starved: return .none
                case .ended(let end): return .ended(end)
                }
            }
        }
        return .more
    }

    /// The socket's pending error (`SO_ERROR`) as the end of its stream.
    func pendingEnd() -> StreamEnd {
        var error: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        // The kernel writes no more than `size`, the variable's size.
        guard unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) == 0, error != 0 else {
            return .clientClosed
        }
        return SocketError.end(error)
    }

    /// Shuts down the output, after the bytes already in the send buffer.
    func finishOutput() {
        _ = shutdown(descriptor, CInt(SHUT_WR))
    }

    /// Makes ``close()`` drop unsent bytes, which the kernel would otherwise keep for minutes.
    func discardOutput() {
        var option = linger(l_onoff: 1, l_linger: 0)
        // The kernel copies exactly the variable's bytes.
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    func close() {
        closeDescriptor(descriptor)
    }
}

#endif
