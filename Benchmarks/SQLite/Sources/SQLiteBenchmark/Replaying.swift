// SPDX-License-Identifier: Apache-2.0

import GRDB
import PlinthHub
import PlinthSQLite

typealias SQLiteSync = SQLiteHistoryOptions.Sync

/// Makes a file with a history.
struct Filling {
    private let options: Options

    init(_ options: Options) { self.options = options }

    func run() async throws {
        let history = Histories.sqlite(try options.text("file"), sync: .normal)
        let count = try options.number("events")
        let topics = try options.number("topics", 100)
        let one = try options.number("one", 0)
        let sample = try Sample(topics: topics, prefix: options.optional("prefix") ?? "log/")
        let single = try Sample(topics: 1, prefix: "one")
        _ = try await history.openAlone()
        // A thousand parts, in each of which the topic of its own comes last.
        let parts = max(1, one)
        for part in 0..<parts {
            let first = count * part / parts
            let last = count * (part + 1) / parts
            for start in stride(from: first, to: last, by: 1000) {
                let events = sample.batch(from: start, count: min(1000, last - start))
                _ = try await history.append(AppendRequest(events))
            }
            if one > 0 { _ = try await history.append(AppendRequest(single.events)) }
        }
        await history.close()
    }
}

/// Reads a log from its beginning to its end, as a subscriber that replays it.
struct Replaying {
    private let options: Options
    private let file: String
    private let topic: String?

    init(_ options: Options) throws {
        self.options = options
        file = try options.text("file")
        topic = options.optional("topic")
    }

    func run() async throws {
        var times = Times()
        var processor: Int64 = 0
        var events = 0
        for _ in 0..<max(1, try options.number("rounds", 1)) {
            let one: (events: Int, wall: Int64, processor: Int64)
            switch try options.text("store") {
            case "sqlite": one = try await sqlite()
            case "grdb": one = try plain()
            case let store: throw Failure("there is no store \(store)")
            }
            guard events == 0 || events == one.events else { throw Failure("\(one.events) events, not \(events)") }
            events = one.events
            times.add(one.wall)
            processor += one.processor
        }
        let median = times.values.sorted()[times.values.count / 2]
        var report = Report()
        report["events"] = events
        report["seconds"] = Double(median) / 1e9
        report["events_per_s"] = Double(events) / (Double(median) / 1e9)
        report["cpu_us_per_event"] = Double(processor) / 1000 / Double(max(1, events * times.values.count))
        report["resident_bytes"] = residentBytes
        try report.print()
    }

    private func sqlite() async throws -> (Int, Int64, Int64) {
        let history = Histories.sqlite(file)
        let head = try await history.openAlone()
        let selector: TopicSelector
        if let topic {
            selector = .exact(try Topic(topic))
        } else {
            selector = .pattern(try TopicPattern("**"))
        }
        let selection = Selection([selector])
        let limit = ReadLimit()
        let processor = Clock.processor
        let begin = Clock.now
        var position: Position?
        var last: UInt64 = 0
        var events = 0
        while position ?? .zero < head {
            var found = history.readNow(after: position, selection: selection, limit: limit)
            if found == nil { found = try await history.read(after: position, selection: selection, limit: limit) }
            guard let batch = found else { break }
            if let missing = batch.missingThrough { throw Failure("events are missing up to \(missing)") }
            for entry in batch.entries {
                guard entry.position.number > last else { throw Failure("\(entry.position) came after \(last)") }
                last = entry.position.number
            }
            events += batch.entries.count
            guard batch.through > position ?? .zero else { throw Failure("a read did not advance") }
            position = batch.through
        }
        let result = (events, Clock.now - begin, Clock.processor - processor)
        await history.close()
        return result
    }

    private func plain() throws -> (Int, Int64, Int64) {
        let pool = try DatabasePool(path: file)
        let processor = Clock.processor
        let begin = Clock.now
        let found = try topic.map { try PlainStore.scan($0, pool) } ?? PlainStore.scan(pool)
        let result = (found.events, Clock.now - begin, Clock.processor - processor)
        try pool.close()
        return result
    }
}
