// SPDX-License-Identifier: Apache-2.0

#if Server

import Metrics
import Synchronization

/// Records what `plinth_limit_refusals_total` counts, by limit; other metrics are discarded.
final class RefusalRecord: MetricsFactory {
    private final class LimitCounter: CounterHandler {
        let count = Atomic<Int64>(0)

        func increment(by amount: Int64) { count.add(amount, ordering: .relaxed) }

        func reset() {}
    }

    private let counters = Mutex<[String: LimitCounter]>([:])

    /// The limits that have refused something, and how often.
    var refusals: [String: Int64] {
        counters.withLock { $0.mapValues { $0.count.load(ordering: .relaxed) }.filter { $0.value > 0 } }
    }

    /// All limits with a counter.
    var limits: Set<String> { counters.withLock { Set($0.keys) } }

    func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        guard label == "plinth_limit_refusals_total", let limit = dimensions.first?.1 else {
            return NOOPMetricsHandler.instance
        }
        let counter = LimitCounter()
        counters.withLock { $0[limit] = counter }
        return counter
    }

    func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        NOOPMetricsHandler.instance
    }

    func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler { NOOPMetricsHandler.instance }

    func destroyCounter(_ handler: any CounterHandler) {}

    func destroyRecorder(_ handler: any RecorderHandler) {}

    func destroyTimer(_ handler: any TimerHandler) {}
}

#endif
