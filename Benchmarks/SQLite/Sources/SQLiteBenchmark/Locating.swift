// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import PlinthHub

/// Finds the positions of IDs, as the hub does for a subscriber that resumes.
///
/// With SQLite the IDs inside are of events that were appended after opening, and are in memory; those outside were
/// stored before. In memory those outside are of events that are no longer held.
struct Locating {
    private static let recent = 1000

    private let options: Options
    private let events: Int
    private let lookups: Int

    init(_ options: Options) throws {
        self.options = options
        events = max(1, try options.number("events"))
        lookups = max(1, try options.number("lookups", 10_000))
    }

    func run() async throws {
        let sample = try Sample(topics: 100)
        switch try options.text("store") {
        case "memory":
            let history = Histories.memory(total: HistoryLimits(events: events))
            _ = try await history.openAlone()
            try await history.fill(events + Self.recent, sample)
            let first = UInt64(Self.recent) + 1
            try await measure(history, inside: first...UInt64(events) + first - 1, outside: 1...first - 1)
        case "sqlite":
            let history = Histories.sqlite(try options.text("file"))
            let head = try await history.openAlone().number
            guard head == UInt64(events) else { throw Failure("the file has \(head) events, not \(events)") }
            try await history.fill(Self.recent, sample)
            try await measure(history, inside: head + 1...head + UInt64(Self.recent), outside: 1...head)
            await history.close()
        case let store: throw Failure("there is no store \(store)")
        }
    }

    private func measure(
        _ history: some History,
        inside: ClosedRange<UInt64>,
        outside: ClosedRange<UInt64>
    ) async throws {
        var report = Report()
        for (name, range) in [("inside", inside), ("outside", outside)] {
            let ids = (0..<lookups).map { _ in history.id(at: Position(.random(in: range))) }
            // Bounded, as a disk may be slow: what was found by then counts.
            let deadline = Clock.now + 20_000_000_000
            var times = Times()
            var held = 0
            let processor = Clock.processor
            for id in ids {
                let before = Clock.now
                guard before < deadline else { break }
                var located = history.locateNow(id)
                if located == nil { located = try await history.locate(id) }
                times.add(Clock.now - before)
                switch located {
                case .found: held += 1
                case .trimmed: break
                case .unknown, nil: throw Failure("\(id) is unknown")
                }
            }
            report[name + "_cpu_us"] = Double(Clock.processor - processor) / 1000 / Double(max(1, times.values.count))
            report[name + "_us"] = times.microseconds
            report[name + "_held"] = held
            report[name] = times.values.count
        }
        try report.print()
    }
}

/// Opens a history that has many topics.
struct Opening {
    private let options: Options
    private let topics: Int

    init(_ options: Options) throws {
        self.options = options
        topics = max(1, try options.number("topics"))
    }

    func run() async throws {
        switch try options.text("store") {
        case "memory":
            let before = residentBytes
            let history = Histories.memory()
            try await measure(history, from: before) { try await append(to: history) }
        case "sqlite":
            let before = residentBytes
            let history = Histories.sqlite(try options.text("file"))
            try await measure(history, from: before) {}
            await history.close()
        case let store: throw Failure("there is no store \(store)")
        }
    }

    private func measure(_ history: some History, from before: Int, filling: () async throws -> Void) async throws {
        var report = Report()
        report["before_bytes"] = before
        var begin = Clock.now
        _ = try await history.openAlone()
        report["open_seconds"] = Double(Clock.now - begin) / 1e9
        try await filling()
        let held = try await history.statistics()
        guard held.topics == topics else { throw Failure("\(held.topics) topics, not \(topics)") }
        report["open_bytes"] = residentBytes - before
        begin = Clock.now
        try await append(to: history)
        report["append_seconds"] = Double(Clock.now - begin) / 1e9
        report["appended_bytes"] = residentBytes - before
        begin = Clock.now
        await history.expire()
        report["expire_seconds"] = Double(Clock.now - begin) / 1e9
        report["expired_bytes"] = residentBytes - before
        try report.print()
    }

    /// Appends an event to each topic.
    private func append(to history: some History) async throws {
        let event = ServerSentEvent(data: String(repeating: "x", count: eventSize))
        for first in stride(from: 0, to: topics, by: 1000) {
            // Made for each batch, so that memory has the history's copies only.
            let events = try (first..<min(first + 1000, topics)).map {
                NewEvent(event, topics: [try Topic("log/\($0)")])
            }
            _ = try await history.append(AppendRequest(events))
        }
    }
}
