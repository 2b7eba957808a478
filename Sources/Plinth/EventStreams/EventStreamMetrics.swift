// SPDX-License-Identifier: Apache-2.0

package import Metrics
import Synchronization

/// The counters of the event streams of one route.
///
/// | metric | kind | label |
/// |---|---|---|
/// | `plinth_event_streams_active` | meter | `route` |
/// | `plinth_event_streams_opened_total` | counter | `route` |
/// | `plinth_event_streams_ended_total` | counter | `route`, `reason` |
/// | `plinth_events_sent_total` | counter | `route` |
/// | `plinth_event_bytes_sent_total` | counter | `route` |
/// | `plinth_event_size_bytes` | recorder | `route` |
/// | `plinth_events_dropped_total` | counter | `route` |
///
/// The label `route` is the route's pattern, so its number of values is bounded by the number of routes.
package final class EventStreamMetrics: Sendable {
    private let active: Meter
    private let openedTotal: Counter
    private let sentTotal: Counter
    private let bytesTotal: Counter
    private let size: Recorder
    private let droppedTotal: Counter
    private let endedTotal: Mutex<[StreamEnd: Counter]> = Mutex([:])
    private let route: String
    private let factory: any MetricsFactory

    init(route: String, factory: any MetricsFactory) {
        let dimensions = [("route", route)]
        self.route = route
        self.factory = factory
        active = Meter(label: "plinth_event_streams_active", dimensions: dimensions, factory: factory)
        openedTotal = Counter(label: "plinth_event_streams_opened_total", dimensions: dimensions, factory: factory)
        sentTotal = Counter(label: "plinth_events_sent_total", dimensions: dimensions, factory: factory)
        bytesTotal = Counter(label: "plinth_event_bytes_sent_total", dimensions: dimensions, factory: factory)
        size = Recorder(label: "plinth_event_size_bytes", dimensions: dimensions, aggregate: true, factory: factory)
        droppedTotal = Counter(label: "plinth_events_dropped_total", dimensions: dimensions, factory: factory)
    }

    func opened() {
        active.increment()
        openedTotal.increment()
    }

    func ended(_ reason: StreamEnd) {
        active.decrement()
        let counter = endedTotal.withLock { counters in
            if let counter = counters[reason] { return counter }
            let counter = Counter(
                label: "plinth_event_streams_ended_total",
                dimensions: [("route", route), ("reason", reason.description)],
                factory: factory
            )
            counters[reason] = counter
            return counter
        }
        counter.increment()
    }

    func sent(events: Int, bytes: Int, sizes: [Int]) {
        if events > 0 { sentTotal.increment(by: events) }
        if bytes > 0 { bytesTotal.increment(by: bytes) }
        for size in sizes { self.size.record(size) }
    }

    func dropped(_ count: Int) {
        droppedTotal.increment(by: count)
    }
}

/// The metrics of all routes of a connector.
package final class EventStreamMetricsRegistry: Sendable {
    private let factory: (any MetricsFactory)?
    private let routes: Mutex<[String: EventStreamMetrics]> = Mutex([:])

    /// Creates a registry.
    ///
    /// - Parameter factory: Creates the metrics. If it is the no-op factory, nothing is counted.
    package init(factory: any MetricsFactory = MetricsSystem.factory) {
        self.factory = factory is NOOPMetricsHandler ? nil : factory
    }

    /// Returns the metrics of a route; nil if nothing is counted.
    package func metrics(for route: RouteIdentity?) -> EventStreamMetrics? {
        guard let factory else { return nil }
        let label = route?.pattern ?? "none"
        return routes.withLock { routes in
            if let metrics = routes[label] { return metrics }
            let metrics = EventStreamMetrics(route: label, factory: factory)
            routes[label] = metrics
            return metrics
        }
    }
}
