// SPDX-License-Identifier: Apache-2.0

import Metrics
import MetricsTestKit
import Plinth
import PlinthTesting
import Testing

@Suite("Event stream metrics", .timeLimit(.minutes(1)))
struct EventStreamMetricsTests {
    /// A chain with a router, so that requests have a route.
    private func chain(_ pattern: String?, _ stream: Chain) -> Chain {
        let route = Interceptor(
            "route",
            enter: { context in
                if let pattern { context.request.route = RouteIdentity(name: "name", pattern: pattern) }
            }
        )
        return Chain([route] + stream.interceptors)
    }

    @Test("Streams, reasons, events and bytes are labelled with the route's pattern, never the path")
    func counts() async throws {
        let factory = TestMetrics()
        let metrics = EventStreamMetricsRegistry(factory: factory)
        let route = [("route", "/counters/:id")]
        let chain = chain(
            "/counters/:id",
            Chain.stream { events in
                for n in 0..<3 { await events.send("\(n)") }
            }
        )
        for id in 0..<2 {
            let stream = try await chain.eventStream(for: .get("/counters/\(id)"), metrics: metrics)
            try await stream.expectReturn()
            _ = try await [stream.next(), stream.next(), stream.next()]
            try await stream.expectEnd(.applicationClosed)
        }
        #expect(try factory.expectCounter("plinth_event_streams_opened_total", route).totalValue == 2)
        #expect(try factory.expectMeter("plinth_event_streams_active", route).lastValue == 0)
        let ended = route + [("reason", "application-closed")]
        #expect(try factory.expectCounter("plinth_event_streams_ended_total", ended).totalValue == 2)
        #expect(try factory.expectCounter("plinth_events_sent_total", route).totalValue == 6)
        // Three events of 9 bytes, and the opening comment.
        #expect(try factory.expectCounter("plinth_event_bytes_sent_total", route).totalValue == 2 * (27 + 2))
        #expect(try factory.expectRecorder("plinth_event_size_bytes", route).values == [9, 9, 9, 9, 9, 9])
        for label in factory.counters.flatMap(\.dimensions) + factory.meters.flatMap(\.dimensions) {
            #expect(["/counters/:id", "application-closed"].contains(label.1))
        }
    }

    @Test("A stream counts as active while it is open")
    func active() async throws {
        let factory = TestMetrics()
        let metrics = EventStreamMetricsRegistry(factory: factory)
        let chain = chain(nil, Chain.stream(lifetime: .open) { _ in })
        let first = try await chain.eventStream(for: .get("/"), metrics: metrics)
        let second = try await chain.eventStream(for: .get("/"), metrics: metrics)
        let active = try factory.expectMeter("plinth_event_streams_active", [("route", "none")])
        #expect(active.lastValue == 2)
        first.leave()
        try await first.expectEnd(.clientClosed)
        #expect(active.lastValue == 1)
        second.leave(.timedOut)
        try await second.expectEnd(.timedOut)
        #expect(active.lastValue == 0)
        for reason in ["client-closed", "timed-out"] {
            let labels = [("route", "none"), ("reason", reason)]
            #expect(try factory.expectCounter("plinth_event_streams_ended_total", labels).totalValue == 1)
        }
    }

    @Test("Events dropped by a buffer are counted, before and after the stream opens")
    func dropped() async throws {
        let factory = TestMetrics()
        let metrics = EventStreamMetricsRegistry(factory: factory)
        let registry = Registry()
        let options = EventStreamOptions(buffer: .dropOldest(2), opens: .withFirstEvent)
        let gate = Gate()
        let chain = Chain([
            Interceptor("slow", leave: { _ in await gate.wait() }),
            Interceptor(
                "stream",
                enter: { context in
                    try await context.startEventStream(options: options) { events in
                        for n in 0..<5 { events.offer("\(n)") }
                        registry.add(events)
                        gate.open()
                    }
                }
            ),
        ])
        let stream = try await chain.eventStream(for: .get("/"), stalled: true, metrics: metrics)
        try await stream.expectReturn()
        let dropped = try factory.expectCounter("plinth_events_dropped_total", [("route", "none")])
        #expect(dropped.totalValue == 3)
        registry.channels.first?.offer("5")
        #expect(dropped.totalValue == 4)
        stream.resume()
        #expect(stream.receivedEvents.map(\.data) == ["4", "5"])
    }

    @Test("No metrics are created without a metrics backend")
    func noop() {
        #expect(EventStreamMetricsRegistry(factory: NOOPMetricsHandler.instance).metrics(for: nil) == nil)
    }
}
