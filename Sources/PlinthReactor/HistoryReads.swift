// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import Logging
import PlinthHub
import Synchronization

/// Questions to a history that answers later: so many at once, the others in their order.
///
/// There is at most one for each subscriber.
struct HistoryReads {
    /// At once.
    private static let limit = 64

    private var waiting: [Distributor.ReadRequest] = []
    /// The first of them that has not begun.
    private var next = 0
    private var running = 0

    mutating func add(_ requests: [Distributor.ReadRequest]) {
        waiting.append(contentsOf: requests)
    }

    /// So many have been answered.
    mutating func didAnswer(_ count: Int) {
        running = max(0, running - count)
    }

    /// Whether one may begin.
    var hasNext: Bool { running < Self.limit && next < waiting.count }

    /// Begins those that may.
    ///
    /// - Parameters:
    ///   - history: Is asked.
    ///   - reactor: Is handed the answers.
    ///   - isAwaited: Whether somebody still waits for an answer.
    mutating func begin(
        _ history: any History,
        _ reactor: Reactor,
        isAwaited: (Distributor.ReadRequest) -> Bool
    ) {
        while hasNext {
            let request = waiting[next]
            next += 1
            guard isAwaited(request) else { continue }
            running += 1
            // Not awaited by anybody: the answer comes back to the reactor's thread as work, or is dropped if that has ended.
            Task { await reactor.read(history, request) }
        }
        if next == waiting.count {
            waiting.removeAll(keepingCapacity: next <= 1024)
            next = 0
        } else if next > 1024, next > waiting.count / 2 {
            waiting.removeFirst(next)
            next = 0
        }
    }
}

extension Reactor {
    /// Reads history, and hands the answer to the reactor's thread.
    @concurrent
    fileprivate func read(_ history: any History, _ request: Distributor.ReadRequest) async {
        var batch: HistoryBatch?
        do {
            batch = try await history.read(
                after: request.position,
                selection: request.selection,
                limit: ReadLimit()
            )
        } catch {
            logger.debug("history cannot be read", metadata: ["error": "\(error)"])
        }
        let answer = ReactorState.Answer(request: request, batch: batch)
        if state.withLock({ $0.add(answer) }) { poller.wake() }
    }
}

#endif
