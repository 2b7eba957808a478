// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import DequeModule

/// Sockets that may have unread input, which an edge-triggered poller reports only once.
///
/// A socket is queued once, however often the kernel reports it, and a turn reads at most ``turnLimit`` queued sockets,
/// so a client that never stops sending cannot starve the others.
struct InputQueue {
    /// The most queued sockets read in a turn: 4 MiB of input.
    static let turnLimit = 64

    private var tags: Deque<StreamTag> = []
    private var members: Set<StreamTag> = []

    var isEmpty: Bool { tags.isEmpty }
    var count: Int { tags.count }

    /// Whether a socket is queued.
    func contains(_ tag: StreamTag) -> Bool { members.contains(tag) }

    /// Adds a socket unless it is queued already.
    mutating func add(_ tag: StreamTag) {
        if members.insert(tag).inserted { tags.append(tag) }
    }

    /// Removes the sockets that have waited longest, at most ``turnLimit``.
    mutating func take() -> [StreamTag] {
        let taken = Array(tags.prefix(Self.turnLimit))
        tags.removeFirst(taken.count)
        for tag in taken { members.remove(tag) }
        return taken
    }
}

#endif
