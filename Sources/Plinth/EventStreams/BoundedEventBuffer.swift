// SPDX-License-Identifier: Apache-2.0

/// The buffer of the built-in policies: first in, first out, bounded in events and in bytes.
struct BoundedEventBuffer: EventBuffer {
    enum Overflow {
        case suspend
        case dropNewest
        case dropOldest
        case disconnect
    }

    let maximumCount: Int
    let maximumBytes: Int
    let overflow: Overflow
    private var bytes = 0
    /// The oldest event, if the buffer was empty when it was added: most streams never buffer a second one.
    private var first: ServerSentEvent?
    /// The later events, from index ``head``; those before it have been taken and are nil.
    private var events: [ServerSentEvent?] = []
    private var head = 0

    init(count: Int, maximumBytes: Int, overflow: Overflow) {
        self.maximumCount = count
        self.maximumBytes = maximumBytes
        self.overflow = overflow
    }

    var isEmpty: Bool { first == nil && head == events.count }
    var count: Int { events.count - head + (first == nil ? 0 : 1) }

    mutating func append(_ event: ServerSentEvent) -> EventBufferOutcome {
        let size = event.bufferedSize
        var dropped = 0
        while !fits(size) {
            switch overflow {
            case .suspend: return .full
            case .dropNewest: return .dropped
            case .disconnect: return .disconnect
            case .dropOldest:
                _ = popFirst()
                dropped += 1
            }
        }
        if isEmpty { first = event } else { events.append(event) }
        bytes += size
        return .stored(dropping: dropped)
    }

    mutating func popFirst() -> ServerSentEvent? {
        if let event = first.take() {
            bytes -= event.bufferedSize
            return event
        }
        guard head < events.count, let event = events[head].take() else { return nil }
        head += 1
        bytes -= event.bufferedSize
        if head == events.count {
            // Releases the storage of a buffer that has grown.
            events.removeAll(keepingCapacity: events.capacity <= 16)
            head = 0
        } else if head >= 32, head * 2 >= events.count {
            events.removeFirst(head)
            head = 0
        }
        return event
    }

    private func fits(_ size: Int) -> Bool {
        isEmpty || (count < maximumCount && size <= maximumBytes - bytes)
    }
}

extension ServerSentEvent {
    /// The event's size, in bytes, as counted against a buffer's bound.
    var bufferedSize: Int {
        data.utf8.count + (type?.utf8.count ?? 0) + (id?.utf8.count ?? 0)
    }
}
