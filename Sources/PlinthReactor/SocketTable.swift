// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import PlinthHub

/// A reactor's sockets, indexed by the slots of its distributor.
///
/// Slots are reused; the generation identifies epoll events of an earlier socket. Only the reactor's thread uses it.
final class SocketTable: StreamSink {
    private struct Place {
        var descriptor: CInt = -1
        var generation: UInt32 = 0
    }

    private var places: ContiguousArray<Place> = []
    private var endings: ContiguousArray<(@Sendable (StreamEnd) -> Void)?> = []
    /// Slots whose socket took nothing because the kernel lacked memory; epoll does not report when it has some again.
    private(set) var starved: [Int] = []

    /// Puts a socket into a free slot.
    ///
    /// - Returns: The socket's tag.
    func insert(_ socket: StreamSocket, _ onEnd: @escaping @Sendable (StreamEnd) -> Void, at slot: Int) -> StreamTag {
        while places.count <= slot {
            places.append(Place())
            endings.append(nil)
        }
        places[slot].descriptor = socket.descriptor
        places[slot].generation &+= 1
        endings[slot] = onEnd
        return StreamTag(slot: slot, generation: places[slot].generation)
    }

    /// Removes a socket; the caller must close it.
    func remove(_ slot: Int) -> (socket: StreamSocket, onEnd: @Sendable (StreamEnd) -> Void)? {
        guard let socket = self[slot], let onEnd = endings[slot] else { return nil }
        places[slot].descriptor = -1
        endings[slot] = nil
        return (socket, onEnd)
    }

    /// The socket in a slot.
    subscript(slot: Int) -> StreamSocket? {
        guard places.indices.contains(slot), places[slot].descriptor >= 0 else { return nil }
        return StreamSocket(descriptor: places[slot].descriptor)
    }

    /// The socket with a tag; nil if it has been removed.
    subscript(tag: StreamTag) -> StreamSocket? {
        guard let socket = self[tag.slot], places[tag.slot].generation == tag.generation else { return nil }
        return socket
    }

    func write(_ bytes: UnsafeRawBufferPointer, to slot: Int) -> StreamWrite {
        // An unused slot's descriptor is -1, which the kernel refuses.
        let place = places[slot]
        let (outcome, isStarved) = unsafe StreamSocket(descriptor: place.descriptor).write(bytes)
        if isStarved { starved.append(slot) }
        return outcome
    }

    /// Removes and returns the slots to retry.
    func takeStarved() -> [Int] {
        defer { starved = [] }
        return starved
    }
}

/// The user data of a socket's epoll events.
struct StreamTag: Hashable {
    let slot: Int
    let generation: UInt32
    /// Whether the stream has ended and the socket waits for its client to close.
    var isLingering = false

    private static let lingering: UInt64 = 1 << 31

    init(slot: Int, generation: UInt32, isLingering: Bool = false) {
        self.slot = slot
        self.generation = generation
        self.isLingering = isLingering
    }

    init(rawValue: UInt64) {
        slot = Int(rawValue & (Self.lingering - 1))
        generation = UInt32(truncatingIfNeeded: rawValue >> 32)
        isLingering = rawValue & Self.lingering != 0
    }

    var rawValue: UInt64 {
        UInt64(generation) << 32 | (isLingering ? Self.lingering : 0)
            | (UInt64(truncatingIfNeeded: slot) & (Self.lingering - 1))
    }
}

#endif
