// SPDX-License-Identifier: Apache-2.0

// The code of the article "Slow clients".

import Plinth

let latestHundred = EventStreamOptions(buffer: .dropOldest(100))

let impatient = EventStreamOptions(buffer: .disconnect(1000, maximumBytes: 4 << 20), writeTimeout: .seconds(10))

/// Keeps the latest event of each type, for values of which only the current one matters.
struct LatestOfEachType: EventBuffer {
    private var events: [ServerSentEvent] = []

    var isEmpty: Bool { events.isEmpty }

    mutating func append(_ event: ServerSentEvent) -> EventBufferOutcome {
        if let index = events.firstIndex(where: { $0.type == event.type }) {
            events[index] = event
            return .stored(dropping: 1)
        }
        events.append(event)
        return .stored
    }

    mutating func popFirst() -> ServerSentEvent? {
        events.isEmpty ? nil : events.removeFirst()
    }
}

let gauges = EventStreamOptions(buffer: .custom { LatestOfEachType() })
