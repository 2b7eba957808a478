// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import PlinthHub

/// Sockets whose streams have completed; each is closed when its client closes, or after 2 s.
///
/// Closing at once is not safe: with unread input the kernel sends a reset, which may destroy the last bytes on their
/// way to the client.
struct LingeringSockets {
    private struct Item {
        let socket: StreamSocket
        let reason: StreamEnd
        let onEnd: @Sendable (StreamEnd) -> Void
        let deadline: Int64
    }

    /// A stream whose socket has been closed and whose owner has to be notified.
    struct Over {
        let onEnd: @Sendable (StreamEnd) -> Void
        let reason: StreamEnd
    }

    /// In nanoseconds: 2 s, checked every 100 ms.
    private static let time: Int64 = 2_000_000_000
    private static let interval: Int64 = 100_000_000

    private var items: [Item?] = []
    private var generations: [UInt32] = []
    private var free: [Int] = []
    private(set) var count = 0
    private var nextLook = Int64.max

    /// Shuts down a socket's output, and closes the socket when its client closes.
    ///
    /// - Returns: The stream, if epoll refuses the socket, which is then closed at once.
    mutating func begin(
        _ socket: StreamSocket,
        _ reason: StreamEnd,
        _ onEnd: @escaping @Sendable (StreamEnd) -> Void,
        _ poller: borrowing Poller,
        now: MonotonicTime
    ) -> Over? {
        socket.finishOutput()
        let slot = free.popLast() ?? items.count
        if slot == items.count {
            items.append(nil)
            generations.append(0)
        }
        generations[slot] &+= 1
        let tag = StreamTag(slot: slot, generation: generations[slot], isLingering: true)
        let deadline = now.advanced(by: Self.time).nanoseconds
        items[slot] = Item(socket: socket, reason: reason, onEnd: onEnd, deadline: deadline)
        count += 1
        nextLook = min(nextLook, now.advanced(by: Self.interval).nanoseconds)
        // Modifying the registration makes epoll report pending input, or its end, again.
        return poller.retag(socket.descriptor, tag: tag.rawValue) == 0 ? nil : close(slot)
    }

    /// Discards a socket's input, and closes the socket at the end of it.
    ///
    /// - Parameters:
    ///   - tag: The socket's tag.
    ///   - buffer: Scratch space.
    /// - Returns: The stream, if its socket has been closed; and whether there may be more input.
    mutating func isReady(_ tag: StreamTag, _ buffer: UnsafeMutableRawBufferPointer) -> (over: Over?, hasMore: Bool) {
        guard items.indices.contains(tag.slot), generations[tag.slot] == tag.generation, let item = items[tag.slot]
        else {
            return (nil, false)
        }
        // Even if epoll reports both directions closed, received input must be read before the socket is closed.
        switch unsafe item.socket.discardInput(buffer) {
        case .none: return (nil, false)
        case .more: return (nil, true)
        case .ended: return (close(tag.slot), false)
        }
    }

    /// Closes sockets past their deadline.
    mutating func tick(now: MonotonicTime) -> [Over] {
        guard now.nanoseconds >= nextLook else { return [] }
        var over: [Over] = []
        for slot in items.indices {
            guard let item = items[slot], item.deadline <= now.nanoseconds else { continue }
            // The kernel still delivers its send buffer.
            if let closed = close(slot) { over.append(closed) }
        }
        nextLook = count == 0 ? .max : now.advanced(by: Self.interval).nanoseconds
        return over
    }

    /// Nanoseconds until ``tick(now:)`` may have something to do; nil without sockets.
    func untilTick(now: MonotonicTime) -> Int64? {
        count == 0 ? nil : max(0, nextLook - now.nanoseconds)
    }

    /// Closes all sockets.
    mutating func closeAll() -> [Over] {
        items.indices.compactMap { close($0) }
    }

    private mutating func close(_ slot: Int) -> Over? {
        guard let item = items[slot] else { return nil }
        items[slot] = nil
        free.append(slot)
        count -= 1
        item.socket.close()
        return Over(onEnd: item.onEnd, reason: item.reason)
    }
}

#endif
