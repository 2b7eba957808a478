// SPDX-License-Identifier: Apache-2.0

import Metrics
import Synchronization

/// The metrics of a hub.
///
/// | metric | kind | label |
/// |---|---|---|
/// | `plinth_hub_events_published_total` | counter | |
/// | `plinth_hub_publish_failures_total` | counter | |
/// | `plinth_hub_publish_duration` | timer | |
/// | `plinth_hub_ended_topics` | meter | |
/// | `plinth_hub_ended_topics_dropped` | meter | |
/// | `plinth_hub_limited_topics` | meter | |
/// | `plinth_hub_producers` | meter | |
/// | `plinth_hub_keys` | meter | |
/// | `plinth_hub_key_bytes` | meter | |
/// | `plinth_hub_subscribers` | meter | `transport` |
/// | `plinth_hub_streams_ended_total` | counter | `reason` |
/// | `plinth_hub_events_delivered_total` | counter | `transport` |
/// | `plinth_hub_bytes_sent_total` | counter | `transport` |
/// | `plinth_hub_heartbeats_total` | counter | `transport` |
/// | `plinth_hub_replay_reads_total` | counter | `transport` |
/// | `plinth_hub_replayed_events_total` | counter | `transport` |
/// | `plinth_hub_gaps_total` | counter | `transport` |
/// | `plinth_hub_delivery_lag` | timer, the longest of each second | `transport` |
///
/// `transport` has three values, `reason` those of ``StreamEnd``. Subscribers within the process count as subscribers
/// and as ended streams; what they read is not counted as delivered.
final class HubMetrics: Sendable {
    private struct TransportMetrics: Sendable {
        let subscribers: Meter
        let delivered: Counter
        let bytes: Counter
        let heartbeats: Counter
        let reads: Counter
        let replayed: Counter
        let gaps: Counter
        let lag: Metrics.Timer

        init(_ transport: HubStream.Transport, _ factory: any MetricsFactory) {
            let labels = [("transport", transport.description)]
            func counter(_ name: String) -> Counter {
                Counter(label: "plinth_hub_\(name)_total", dimensions: labels, factory: factory)
            }
            subscribers = Meter(label: "plinth_hub_subscribers", dimensions: labels, factory: factory)
            delivered = counter("events_delivered")
            bytes = counter("bytes_sent")
            heartbeats = counter("heartbeats")
            reads = counter("replay_reads")
            replayed = counter("replayed_events")
            gaps = counter("gaps")
            lag = Metrics.Timer(label: "plinth_hub_delivery_lag", dimensions: labels, factory: factory)
        }
    }

    private let published: Counter
    private let failures: Counter
    private let duration: Metrics.Timer
    private let endedTopics: Meter
    private let droppedEnds: Meter
    private let limitedTopics: Meter
    private let producers: Meter
    private let keys: Meter
    private let keyBytes: Meter
    private let transports: [HubStream.Transport: TransportMetrics]
    private let ends: [StreamEnd: Counter]

    /// Creates the metrics; nil if no metrics system was bootstrapped.
    ///
    /// - Parameter factory: Where metrics go.
    init?(factory: any MetricsFactory) {
        if factory is NOOPMetricsHandler { return nil }
        published = Counter(label: "plinth_hub_events_published_total", factory: factory)
        failures = Counter(label: "plinth_hub_publish_failures_total", factory: factory)
        duration = Metrics.Timer(label: "plinth_hub_publish_duration", factory: factory)
        func meter(_ name: String) -> Meter { Meter(label: "plinth_hub_\(name)", factory: factory) }
        endedTopics = meter("ended_topics")
        droppedEnds = meter("ended_topics_dropped")
        limitedTopics = meter("limited_topics")
        producers = meter("producers")
        keys = meter("keys")
        keyBytes = meter("key_bytes")
        transports = Dictionary(
            uniqueKeysWithValues: [HubStream.Transport.process, .reactor, .eventLoop].map {
                ($0, TransportMetrics($0, factory))
            }
        )
        ends = Dictionary(
            uniqueKeysWithValues: StreamEnd.ofHubs.map {
                (
                    $0,
                    Counter(
                        label: "plinth_hub_streams_ended_total",
                        dimensions: [("reason", $0.description)],
                        factory: factory
                    )
                )
            }
        )
    }

    func published(_ count: Int, in nanoseconds: Int64) {
        published.increment(by: count)
        duration.recordNanoseconds(nanoseconds)
    }

    func publishFailed() { failures.increment() }

    func holds(_ held: HistoryStatistics) {
        endedTopics.set(held.endedTopics)
        droppedEnds.set(held.droppedEnds)
        limitedTopics.set(held.limitedTopics)
        producers.set(held.producers)
        keys.set(held.keys)
        keyBytes.set(held.keyBytes)
    }

    func began(_ transport: HubStream.Transport) { transports[transport]?.subscribers.increment() }

    func ended(_ transport: HubStream.Transport, _ end: StreamEnd) {
        transports[transport]?.subscribers.decrement()
        ends[end]?.increment()
    }

    func add(_ tally: DeliveryTally, _ transport: HubStream.Transport) {
        guard tally != DeliveryTally(), let metrics = transports[transport] else { return }
        metrics.delivered.increment(by: tally.delivered)
        metrics.bytes.increment(by: tally.bytes)
        metrics.heartbeats.increment(by: tally.heartbeats)
        metrics.reads.increment(by: tally.reads)
        metrics.replayed.increment(by: tally.replayed)
        metrics.gaps.increment(by: tally.gaps)
        if tally.lag > 0 { metrics.lag.recordNanoseconds(tally.lag) }
    }
}
