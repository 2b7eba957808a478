// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import Logging
import PlinthHub
import Synchronization

extension Reactor {
    /// Reads history, and queues the answer for the reactor's thread.
    @concurrent
    func read(_ history: any History, _ request: Distributor.ReadRequest) async {
        var result: HistoryAnswer?
        do {
            result = try await history.answer(request)
        } catch {
            logger.debug("history read failed", metadata: ["error": "\(error)"])
        }
        let answer = ReactorState.Answer(request: request, result: result)
        if state.withLock({ $0.add(answer) }) { poller.wake() }
    }
}

#endif
