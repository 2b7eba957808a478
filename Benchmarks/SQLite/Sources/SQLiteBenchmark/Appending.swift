// SPDX-License-Identifier: Apache-2.0

import PlinthHub

/// Appends events of 200 bytes for a time.
struct Appending {
    private let options: Options
    private let store: String
    private let path: String
    private let publishers: Int
    private let batch: Int
    private let topics: Int
    private let nanoseconds: Int64
    private let maximum: Int

    init(_ options: Options) throws {
        self.options = options
        store = try options.text("store")
        path = try options.text("folder") + "/append.sqlite"
        publishers = max(1, try options.number("publishers", 1))
        batch = max(1, try options.number("batch", 1))
        topics = max(1, try options.number("topics", 1))
        nanoseconds = Int64(try options.seconds("seconds", 2) * 1e9)
        maximum = try options.number("events", 4_000_000)
        guard publishers == 1 || batch == 1 else { throw Failure("several publishers append one event each") }
    }

    func run() async throws {
        switch store {
        case "memory": try await history(Histories.memory(topic: try limits))
        case "sqlite-full": try await sqlite(.full)
        case "sqlite-normal": try await sqlite(.normal)
        case "grdb-full", "grdb-full-blocking": try await plain(isFull: true)
        case "grdb-normal": try await plain(isFull: false)
        default: throw Failure("there is no store \(store)")
        }
    }

    private var limits: HistoryLimits {
        get throws { HistoryLimits(events: try options.number("topic-events", .max)) }
    }

    private func sqlite(_ sync: SQLiteSync) async throws {
        let history = Histories.sqlite(path, sync: sync, topic: try limits)
        try await self.history(history)
        await history.close()
    }

    private func history(_ history: some History) async throws {
        _ = try await history.openAlone()
        let sample = try Sample(topics: topics)
        // Every topic is known, and statements are prepared.
        try await history.fill(max(topics, 1000), sample)
        // As a hub does, every second.
        let house = Task {
            while !Task.isCancelled {
                await history.expire()
                try? await Task.sleep(for: .seconds(1))
            }
        }
        try await measure { first in
            _ = try await history.append(AppendRequest(sample.batch(from: first, count: batch)))
        }
        house.cancel()
        await house.value
    }

    private func plain(isFull: Bool) async throws {
        let plain = try PlainStore(path, isFull: isFull, topics: topics)
        let filled = max(topics, 1000)
        for first in stride(from: 0, to: filled, by: 1000) {
            try await plain.append(from: first, count: min(1000, filled - first))
        }
        if store == "grdb-full-blocking" {
            try await measure { try plain.appendBlocking(from: $0, count: batch) }
        } else if publishers > 1 {
            try await measure { try await plain.appendInGroup($0) }
        } else {
            try await measure { try await plain.append(from: $0, count: batch) }
        }
        try plain.close()
    }

    /// Calls a closure that appends a batch until the time is over, from all publishers, and prints the figures.
    private func measure(_ append: @escaping @Sendable (_ first: Int) async throws -> Void) async throws {
        let processor = Clock.processor
        let begin = Clock.now
        let end = begin + nanoseconds
        let times = try await withThrowingTaskGroup(of: Times.self) { group in
            for publisher in 0..<publishers {
                group.addTask {
                    var times = Times()
                    var first = publisher * batch
                    var before = Clock.now
                    while before < end, first < maximum {
                        try await append(first)
                        first += publishers * batch
                        let after = Clock.now
                        times.add(after - before)
                        before = after
                    }
                    return times
                }
            }
            return try await group.reduce(Times(), +)
        }
        let wall = Clock.now - begin
        let used = Clock.processor - processor
        let events = Double(times.values.count * batch)
        var report = Report()
        report["events"] = events
        report["seconds"] = Double(wall) / 1e9
        report["events_per_s"] = events / (Double(wall) / 1e9)
        report["cpu_us_per_event"] = Double(used) / 1000 / max(1, events)
        report["append_us"] = times.microseconds
        report["file_bytes"] = bytes(ofFile: path)
        report["log_bytes"] = bytes(ofFile: path + "-wal")
        try report.print()
    }
}
