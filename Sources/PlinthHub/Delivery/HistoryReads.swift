// SPDX-License-Identifier: Apache-2.0

/// Questions to a history that answers later: so many at once, the others in their order.
///
/// There is at most one for each subscriber.
package struct HistoryReads {
    /// At once.
    static let limit = 64

    private var waiting: [Distributor.ReadRequest] = []
    /// The first of them that has not begun.
    private var next = 0
    private var running = 0

    /// No questions.
    package init() {}

    package mutating func add(_ requests: [Distributor.ReadRequest]) {
        waiting.append(contentsOf: requests)
    }

    /// So many have been answered.
    package mutating func didAnswer(_ count: Int) {
        running = max(0, running - count)
    }

    /// Whether one may begin.
    package var hasNext: Bool { running < Self.limit && next < waiting.count }

    /// Takes the next that may begin.
    ///
    /// - Parameter isAwaited: Whether somebody still waits for an answer.
    /// - Returns: It, of which ``didAnswer(_:)`` is told when it has been answered; nil if none may begin.
    package mutating func begin(isAwaited: (Distributor.ReadRequest) -> Bool) -> Distributor.ReadRequest? {
        while hasNext {
            let request = waiting[next]
            next += 1
            forget()
            guard isAwaited(request) else { continue }
            running += 1
            return request
        }
        return nil
    }

    /// Gives back the room of those that have begun.
    private mutating func forget() {
        if next == waiting.count {
            waiting.removeAll(keepingCapacity: next <= 1024)
            next = 0
        } else if next > 1024, next > waiting.count / 2 {
            waiting.removeFirst(next)
            next = 0
        }
    }
}
