// SPDX-License-Identifier: Apache-2.0

/// Reads of a history that answers later: at most 64 at once, the others queued in order.
///
/// There is at most one per subscriber.
package struct HistoryReads {
    /// The maximum number of reads at once.
    static let limit = 64

    private var waiting: [Distributor.ReadRequest] = []
    /// The index of the first that has not begun.
    private var next = 0
    private var running = 0

    /// Creates an empty queue.
    package init() {}

    package mutating func add(_ requests: [Distributor.ReadRequest]) {
        waiting.append(contentsOf: requests)
    }

    /// Records that reads have been answered.
    package mutating func didAnswer(_ count: Int) {
        running = max(0, running - count)
    }

    /// Whether a read may begin.
    package var hasNext: Bool { running < Self.limit && next < waiting.count }

    /// Takes the next read that may begin.
    ///
    /// - Parameter isAwaited: Whether a subscriber still waits for the result.
    /// - Returns: The request, to be reported to ``didAnswer(_:)`` when answered; nil if none may begin.
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

    /// Releases the memory of requests that have begun.
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
