// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import PlinthHub
import PlinthSQLite

/// The bytes of each event's data.
let eventSize = 200

/// Histories from which nothing is removed.
enum Histories {
    static let unlimited = HistoryLimits()

    static func sqlite(
        _ path: String,
        sync: SQLiteHistoryOptions.Sync = .full,
        topic: HistoryLimits = unlimited
    ) -> SQLiteHistory {
        var options = SQLiteHistoryOptions()
        options.sync = sync
        options.topic = topic
        options.fileBytes = 64 << 30
        return SQLiteHistory(path: path, options: options)
    }

    static func memory(topic: HistoryLimits = unlimited, total: HistoryLimits = unlimited) -> MemoryHistory {
        MemoryHistory(topic: topic, total: total)
    }
}

/// Events, encoded once: one of each topic.
struct Sample: Sendable {
    let events: [NewEvent]

    init(topics: Int, prefix: String = "log/") throws {
        let event = ServerSentEvent(data: String(repeating: "x", count: eventSize))
        events = try (0..<max(1, topics)).map { NewEvent(event, topics: [try Topic("\(prefix)\($0)")]) }
    }

    /// The events with numbers from 0 that a batch has, topic after topic.
    func batch(from first: Int, count: Int) -> [NewEvent] {
        (first..<first + count).map { events[$0 % events.count] }
    }
}

extension History {
    /// Opens the history without a hub.
    func openAlone() async throws -> Position { try await open { _ in } }

    /// Appends events in batches of 1,000.
    func fill(_ count: Int, _ sample: Sample) async throws {
        for first in stride(from: 0, to: count, by: 1000) {
            _ = try await append(AppendRequest(sample.batch(from: first, count: min(1000, count - first))))
        }
    }
}
