// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import Synchronization
import Testing

@testable import PlinthHub

func topic(_ name: String) throws -> Topic { try Topic(name) }

func pattern(_ text: String) throws -> TopicSelector { .pattern(try TopicPattern(text)) }

func exact(_ name: String) throws -> TopicSelector { .exact(try Topic(name)) }

func event(_ data: String, _ topics: String..., isRestricted: Bool = false, id: String? = nil) throws -> NewEvent {
    NewEvent(
        ServerSentEvent(data: data),
        topics: try topics.map(topic),
        isRestricted: isRestricted,
        requestedID: id.map { EventID(trusted: Array($0.utf8)) }
    )
}

func eventID(_ text: String) -> EventID { EventID(trusted: Array(text.utf8)) }

extension ReadLimit {
    static let none = ReadLimit(events: .max, bytes: .max, work: .max)
}

/// A clock that moves only when advanced.
final class TestClock: Sendable {
    private let time = Mutex(MonotonicTime(nanoseconds: 1_000_000_000))
    var now: MonotonicTime { time.withLock { $0 } }
    func advance(by duration: Duration) { time.withLock { $0 = $0.advanced(by: duration.clampedNanoseconds) } }
}

extension MemoryHistory {
    /// A history with the epoch 1, whose IDs begin with `1-`.
    static func make(
        topic: HistoryLimits = HistoryLimits(),
        total: HistoryLimits = HistoryLimits(),
        acceptsIDs: Bool = false,
        clock: TestClock = TestClock()
    ) -> MemoryHistory {
        MemoryHistory(topic: topic, total: total, acceptsIDs: acceptsIDs, token: [0x31], now: { clock.now })
    }

    /// The data of the events read.
    func data(after position: UInt64? = nil, _ selectors: TopicSelector...) -> [String] {
        let batch = readNow(after: position.map(Position.init), selection: Selection(selectors), limit: .none)
        return batch?.entries.map(\.event.data) ?? []
    }

    /// The position up to which events are reported missing.
    func missing(after position: UInt64, _ selectors: TopicSelector...) -> UInt64? {
        readNow(after: Position(position), selection: Selection(selectors), limit: .none)?.missingThrough?.number
    }
}

/// An event as a stream of one topic sends it.
func sent(_ data: String, _ position: Int) -> String { "data: \(data)\nid: 1-\(position)\n\n" }
