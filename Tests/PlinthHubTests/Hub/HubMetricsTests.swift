// SPDX-License-Identifier: Apache-2.0

import Metrics
import MetricsTestKit
import PlinthEvents
import PlinthTestSupport
import Testing

@testable import PlinthHub

@Suite("Hub metrics", .timeLimit(.minutes(2)))
struct HubMetricsTests {
    @Test("What history remembers besides events is measured")
    func remembered() async throws {
        let metrics = TestMetrics()
        var quotas = HistoryQuotas()
        quotas.endedTopics = 1
        let hub = try await Hub.make(MemoryHistory(quotas: quotas), factory: metrics)
        let id = try #require(ProducerID([0x70]))
        let stamp = ProducerStamp(id: id, epoch: 0, sequence: 0)
        try await hub.publish(AppendRequest([event("1", "a")], producer: stamp))
        try await hub.publish(AppendRequest([event("2", "a")], key: IdempotencyKey([0x6B])))
        for name in ["b", "c", "d"] { try await hub.end(topic(name)) }
        try await hub.setLimits(TopicLimits(events: 5), of: topic("e"))
        await hub.keepHouse()
        let expected = [
            "ended_topics": 1, "ended_topics_dropped": 2, "producers": 1, "keys": 1, "limited_topics": 1,
        ]
        for (name, value) in expected {
            #expect(try metrics.expectMeter("plinth_hub_\(name)").lastValue == Double(value), "\(name)")
        }
        #expect(try #require(try metrics.expectMeter("plinth_hub_key_bytes").lastValue) > 100)
    }

    @Test("Publishing, failures, beginnings and ends are measured, with few labels")
    func metrics() async throws {
        let metrics = TestMetrics()
        let history = YieldingHistory(MemoryHistory.make())
        let hub = try await Hub.make(history, factory: metrics)
        try await hub.publish([event("1", "a"), event("2", "a")])
        try await hub.publish("3", to: "a")
        history.failNextAppend()
        _ = try? await hub.publish("lost", to: "a")
        #expect(try metrics.expectCounter("plinth_hub_events_published_total").totalValue == 3)
        #expect(try metrics.expectCounter("plinth_hub_publish_failures_total").totalValue == 1)
        #expect(try metrics.expectTimer("plinth_hub_publish_duration").values.count == 2)
        let subscribers = try metrics.expectMeter("plinth_hub_subscribers", [("transport", "process")])
        try await hub.subscribe(to: exact("a")) { _ in
            #expect(subscribers.lastValue == 1)
        }
        #expect(subscribers.lastValue == 0)
        let ended = try metrics.expectCounter("plinth_hub_streams_ended_total", [("reason", "client-closed")])
        #expect(ended.totalValue == 1)
        var tally = DeliveryTally()
        tally.delivered = 1
        tally.bytes = 2
        tally.heartbeats = 3
        tally.reads = 4
        tally.replayed = 5
        tally.gaps = 6
        var sum = DeliveryTally()
        sum.add(tally)
        sum.add(tally)
        hub.add(sum, .reactor)
        hub.add(DeliveryTally(), .reactor)
        let names = ["events_delivered", "bytes_sent", "heartbeats", "replay_reads", "replayed_events", "gaps"]
        for (index, name) in names.enumerated() {
            let counter = try metrics.expectCounter("plinth_hub_\(name)_total", [("transport", "reactor")])
            #expect(counter.totalValue == Int64(2 * (index + 1)), "\(name)")
        }
        for counter in metrics.counters {
            #expect(counter.dimensions.allSatisfy { ["transport", "reason"].contains($0.0) })
        }
        #expect(metrics.counters.count == 2 + 3 * 6 + StreamEnd.ofHubs.count)
    }
}
