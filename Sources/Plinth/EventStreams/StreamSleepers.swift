// SPDX-License-Identifier: Apache-2.0

/// The suspended ``EventChannel/sleep(for:)`` calls of one stream.
struct StreamSleepers {
    private struct Sleeper {
        let id: UInt64
        let deadline: MonotonicTime
        let continuation: CheckedContinuation<Bool, Never>
    }

    private var sleepers: [Sleeper] = []
    /// The number of sleepers.
    var count: Int { sleepers.count }
    /// The earliest deadline; ``MonotonicTime/distantFuture`` for none.
    private(set) var deadline = MonotonicTime.distantFuture

    /// Adds a sleeper.
    ///
    /// - Returns: Whether its deadline is the earliest now.
    mutating func add(_ id: UInt64, until deadline: MonotonicTime, _ continuation: CheckedContinuation<Bool, Never>)
        -> Bool
    {
        sleepers.append(Sleeper(id: id, deadline: deadline, continuation: continuation))
        guard deadline < self.deadline else { return false }
        self.deadline = deadline
        return true
    }

    mutating func remove(_ id: UInt64) -> CheckedContinuation<Bool, Never>? {
        guard let index = sleepers.firstIndex(where: { $0.id == id }) else { return nil }
        return sleepers.remove(at: index).continuation
    }

    /// Removes the sleepers whose deadline has passed, and appends them.
    mutating func removeDue(_ now: MonotonicTime, into due: inout [CheckedContinuation<Bool, Never>]) {
        guard deadline <= now else { return }
        deadline = .distantFuture
        sleepers.removeAll { sleeper in
            guard sleeper.deadline > now else {
                due.append(sleeper.continuation)
                return true
            }
            deadline = min(deadline, sleeper.deadline)
            return false
        }
    }

    /// Removes all sleepers, and appends them.
    mutating func removeAll(into released: inout [CheckedContinuation<Bool, Never>]) {
        guard !sleepers.isEmpty else { return }
        released += sleepers.map(\.continuation)
        self = StreamSleepers()
    }
}
