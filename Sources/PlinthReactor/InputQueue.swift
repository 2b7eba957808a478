// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import DequeModule

/// Sockets that may have more input than was read of it; the kernel reports that once only.
///
/// Each stands here once, however often the kernel reports more: a client that never stops sending is read once a turn, and
/// a turn reads for a bounded number of sockets.
struct InputQueue {
    /// The sockets for which a turn reads on: 4 MiB at most.
    static let turnLimit = 64

    private var tags: Deque<StreamTag> = []
    private var members: Set<StreamTag> = []

    var isEmpty: Bool { tags.isEmpty }
    var count: Int { tags.count }

    /// Whether a socket waits here for its turn.
    func contains(_ tag: StreamTag) -> Bool { members.contains(tag) }

    /// Adds a socket, unless it is here.
    mutating func add(_ tag: StreamTag) {
        if members.insert(tag).inserted { tags.append(tag) }
    }

    /// Takes out those that have waited longest, as many as a turn reads for.
    mutating func take() -> [StreamTag] {
        let taken = Array(tags.prefix(Self.turnLimit))
        tags.removeFirst(taken.count)
        for tag in taken { members.remove(tag) }
        return taken
    }
}

#endif
