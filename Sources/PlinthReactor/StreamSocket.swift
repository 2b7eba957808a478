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
/// Invariant: the descriptor is open until ``close()``, which is called once, by whoever takes the socket out of the table
/// in which it stands. Nothing here waits, whether or not the descriptor is set so.
struct StreamSocket {
    let descriptor: CInt

    /// What became of a look at the input.
    enum Input {
        /// There is none for now.
        case none
        /// There may be more.
        case more
        /// The other side sends nothing more, or the connection is broken.
        case ended(StreamEnd)
    }

    /// Sets what streams want of TCP.
    ///
    /// Errors are left aside: it may be a Unix socket, or broken already, which its first use tells.
    ///
    /// - Parameter writeTimeout: After how many milliseconds a peer that confirms nothing is given up; nil for the
    ///   system's own time, which is a quarter of an hour.
    func prepare(writeTimeout: CInt?) {
        setTCPOption(TCP_NODELAY, 1)
        setTCPOption(TCP_NOTSENT_LOWAT, SocketLimits.unsent)
        if let writeTimeout { setTCPOption(TCP_USER_TIMEOUT, writeTimeout) }
    }

    private func setTCPOption(_ name: CInt, _ value: CInt) {
        var value = value
        // The kernel copies so many bytes, which are those of the variable.
        _ = unsafe setsockopt(descriptor, CInt(IPPROTO_TCP), name, &value, socklen_t(MemoryLayout<CInt>.size))
    }

    /// Sends what fits.
    ///
    /// - Parameter bytes: Read during the call only.
    /// - Returns: What was taken, or why nothing ever will be; and whether the kernel lacked memory, and will not say when
    ///   it has some again.
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

    /// Reads what the client sends, and throws it away.
    ///
    /// - Parameter buffer: Room.
    /// - Returns: Whether there may be more, now or ever.
    func discardInput(_ buffer: UnsafeMutableRawBufferPointer) -> Input {
        // So often that nobody who sends for ever keeps others waiting.
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

    /// The error that the kernel keeps for the socket, as the end of its stream.
    func pendingEnd() -> StreamEnd {
        var error: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        // The kernel writes no more than the size, which is the variable's.
        guard unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) == 0, error != 0 else {
            return .clientClosed
        }
        return SocketError.end(error)
    }

    /// Says that nothing more comes, behind what is under way.
    func finishOutput() {
        _ = shutdown(descriptor, CInt(SHUT_WR))
    }

    /// Has ``close()`` drop what the client has not taken, instead of keeping it in the kernel for minutes.
    func discardOutput() {
        var option = linger(l_onoff: 1, l_linger: 0)
        // The kernel copies so many bytes, which are those of the variable.
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    func close() {
        closeDescriptor(descriptor)
    }
}

#endif
