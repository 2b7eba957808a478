// SPDX-License-Identifier: Apache-2.0

import Metrics

/// The metrics of an event source.
final class EventSourceMetrics: Sendable {
    private let open: Meter
    private let attempts: Counter
    private let opened: Counter
    private let events: Counter
    private let bytes: Counter
    private let label: String
    private let factory: any MetricsFactory

    init(label: String, factory: any MetricsFactory) {
        self.label = label
        self.factory = factory
        let dimensions = [("source", label)]
        open = Meter(label: "plinth_client_streams_open", dimensions: dimensions, factory: factory)
        attempts = Counter(label: "plinth_client_requests_total", dimensions: dimensions, factory: factory)
        opened = Counter(label: "plinth_client_streams_opened_total", dimensions: dimensions, factory: factory)
        events = Counter(label: "plinth_client_events_total", dimensions: dimensions, factory: factory)
        bytes = Counter(label: "plinth_client_bytes_total", dimensions: dimensions, factory: factory)
    }

    func requested() {
        attempts.increment()
    }

    func streamOpened() {
        opened.increment()
        open.increment()
    }

    func streamEnded() {
        open.decrement()
    }

    func received(bytes count: Int, events eventCount: Int) {
        bytes.increment(by: count)
        if eventCount > 0 { events.increment(by: eventCount) }
    }

    /// A connection or the source failed.
    func failed(_ code: EventSourceError.Code) {
        // Rare, so it is looked up by name each time.
        Counter(
            label: "plinth_client_failures_total",
            dimensions: [("source", label), ("reason", code.description)],
            factory: factory
        ).increment()
    }
}
