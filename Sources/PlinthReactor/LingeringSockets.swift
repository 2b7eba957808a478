// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import PlinthHub

/// Sockets whose streams have ended properly, until their clients close, too, or some time has passed.
///
/// Closing at once would not do: while there is input that nobody has read the kernel answers with a reset, which may
/// destroy the last bytes on their way to the client.
struct LingeringSockets {
    private struct Item {
        let socket: StreamSocket
        let reason: StreamEnd
        let onEnd: @Sendable (StreamEnd) -> Void
        let deadline: Int64
    }

    /// A stream whose socket is closed now, and whose owner is to be told.
    struct Over {
        let onEnd: @Sendable (StreamEnd) -> Void
        let reason: StreamEnd
    }

    /// In nanoseconds: 2 s, looked at every 100 ms.
    private static let time: Int64 = 2_000_000_000
    private static let interval: Int64 = 100_000_000

    private var items: [Item?] = []
    private var generations: [UInt32] = []
    private var free: [Int] = []
    private(set) var count = 0
    private var nextLook = Int64.max

    /// Closes the output of a socket, and the rest when its client has.
    ///
    /// - Returns: The stream, if that is so already.
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
        // With its new tag the kernel tells again what the socket is ready for: input, or its end.
        return poller.retag(socket.descriptor, tag: tag.rawValue) == 0 ? nil : close(slot)
    }

    /// A socket has input, or its connection is over.
    ///
    /// - Parameters:
    ///   - tag: The socket's.
    ///   - buffer: Room for the input.
    /// - Returns: The stream, if its socket has been closed; and whether there may be more to read.
    mutating func isReady(_ tag: StreamTag, _ buffer: UnsafeMutableRawBufferPointer) -> (over: Over?, hasMore: Bool) {
        guard items.indices.contains(tag.slot), generations[tag.slot] == tag.generation, let item = items[tag.slot]
        else {
            return (nil, false)
        }
        // Also where the kernel says that both directions are closed: what has come must be read before the socket is closed.
        switch unsafe item.socket.discardInput(buffer) {
        case .none: return (nil, false)
        case .more: return (nil, true)
        case .ended: return (close(tag.slot), false)
        }
    }

    /// Closes those whose time is over.
    mutating func tick(now: MonotonicTime) -> [Over] {
        guard now.nanoseconds >= nextLook else { return [] }
        var over: [Over] = []
        for slot in items.indices {
            guard let item = items[slot], item.deadline <= now.nanoseconds else { continue }
            // What the client has not taken the kernel goes on to deliver.
            if let closed = close(slot) { over.append(closed) }
        }
        nextLook = count == 0 ? .max : now.advanced(by: Self.interval).nanoseconds
        return over
    }

    /// Nanoseconds until ``tick(now:)`` may have something to do; nil if there is nobody.
    func untilTick(now: MonotonicTime) -> Int64? {
        count == 0 ? nil : max(0, nextLook - now.nanoseconds)
    }

    /// Closes all.
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
