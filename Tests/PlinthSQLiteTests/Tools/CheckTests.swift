// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Foundation
import GRDB
import PlinthEvents
import PlinthHub
import PlinthSQLite
import PlinthTestSupport
import Synchronization
import Testing

@Suite("SQLite history: check")
struct CheckTests {
    typealias Kind = SQLiteHistoryFile.Problem.Kind

    @Test("A file that hubs have used, with something of everything in it, is whole")
    func whole() async throws {
        let sample = HistoryFileSample()
        try await sample.fill()
        for isQuick in [false, true] {
            let report = try await sample.file.check(isQuick: isQuick)
            #expect(report.isWhole, "\(report.problems)")
            #expect(report.events == 480 + 50 && report.topics == 6)
            #expect(report.endedTopics == 1 && report.producers == 1 && report.keys == 1)
            #expect(report.revocations == 1)
        }
    }

    @Test("Whatever a hub does, its file is whole at each moment, and after it was closed", arguments: 0..<12)
    func wholeAtEachMoment(_ seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let sample = HistoryFileSample()
        var options = SQLiteHistoryOptions()
        options.topic = HistoryLimits(events: Int.random(in: 1...40, using: &random), age: .seconds(100))
        options.total = HistoryLimits(events: Int.random(in: 50...300, using: &random))
        options.quotas.endedTopics = 3
        var history = sample.history(options)
        _ = try await history.open { _ in }
        for step in 0..<400 {
            let topics = (0..<Int.random(in: 1...3, using: &random)).map { _ in Int.random(in: 0..<12, using: &random) }
            let names = try Set(topics).map { try Topic("t/\($0)") }
            switch Int.random(in: 0..<40, using: &random) {
            case 0: _ = try await history.purge(names[0])
            case 1: _ = try? await history.append(AppendRequest([], ending: names[0]))
            case 2: _ = try await history.setLimits(TopicLimits(events: 5, age: .seconds(20)), of: names[0])
            case 3:
                sample.clock.advance(by: .seconds(15))
                await history.expire()
            case 4:
                await history.close()
                history = sample.history(options)
                _ = try await history.open { _ in }
            case 5:
                let stamp = ProducerID(Array("\(step)".utf8)).map { ProducerStamp(id: $0, epoch: 0, sequence: 0) }
                let event = NewEvent(ServerSentEvent(data: "\(step)"), topics: [names[0]])
                _ = try? await history.append(AppendRequest([event], producer: stamp))
            default:
                let event = NewEvent(ServerSentEvent(data: "\(step)"), topics: names)
                _ = try? await history.append(AppendRequest([event], key: IdempotencyKey(Array("\(step)".utf8))))
            }
            guard step % 20 == 0 else { continue }
            let report = try await sample.file.check()
            #expect(report.isWhole, "step \(step): \(report.problems)")
        }
        await history.close()
        let report = try await sample.file.check()
        #expect(report.isWhole, "\(report.problems)")
        #expect(report.events > 0)
    }

    @Test("An application's database is whole, while its hub runs and its transactions publish")
    func application() async throws {
        let files = TemporaryFiles()
        let pool = try DatabasePool(path: files.path())
        var migrator = DatabaseMigrator()
        migrator.registerMigration("mine") { try $0.execute(sql: "CREATE TABLE mine (id INTEGER PRIMARY KEY)") }
        SQLiteHistory.registerMigrations(in: &migrator)
        try migrator.migrate(pool)
        let file = SQLiteHistoryFile(path: pool.path)
        var options = SQLiteHistoryOptions()
        options.topic = HistoryLimits(events: 20)
        let hub = try await Hub(history: SQLiteHistory(pool, options: options))
        for number in 1...100 {
            let topic = try Topic("t/\(number % 3)")
            if number % 2 == 0 {
                try await hub.publish(ServerSentEvent(data: "\(number)"), to: topic)
            } else {
                try await pool.write { db in
                    try db.execute(sql: "INSERT INTO mine VALUES (?)", arguments: [number])
                    try hub.publish(ServerSentEvent(data: "\(number)"), to: topic, in: db)
                }
            }
            guard number % 10 == 0 else { continue }
            let problems = try await file.check().problems
            #expect(problems == [])
        }
        let report = try await file.check()
        #expect(report.isWhole && report.events >= 60 && report.topics == 3)
    }

    /// A change, and the first problem of its kind that has to be found.
    struct Damage: Sendable, CustomTestStringConvertible {
        let sql: String
        let kind: Kind
        var number: UInt64?
        var topic: String?
        var reason: String?

        var testDescription: String { sql }
    }

    static let damages = [
        Damage(
            sql: "UPDATE plinth_entry SET lines = CAST('data: forged' || char(10) AS BLOB) WHERE number = 302",
            kind: .entry,
            number: 302
        ),
        Damage(sql: "UPDATE plinth_entry SET time = time + 1 WHERE number = 302", kind: .entry, number: 302),
        Damage(sql: "UPDATE plinth_entry SET flags = 1 WHERE number = 302", kind: .entry, number: 302),
        Damage(sql: "UPDATE plinth_entry SET topics = x'0103612f' WHERE number = 302", kind: .entry, number: 302),
        Damage(sql: "UPDATE plinth_entry SET number = -5 WHERE number = 302", kind: .entry, reason: "impossible"),
        Damage(sql: "DELETE FROM plinth_entry WHERE number = 302", kind: .block, number: 256, reason: "missing: 1 of"),
        Damage(sql: "DELETE FROM plinth_entry WHERE number = 302", kind: .place, number: 302, topic: "t/2"),
        Damage(sql: "DELETE FROM plinth_entry WHERE number = 603", kind: .block, number: 512, reason: "missing: "),
        Damage(
            sql:
                "INSERT INTO plinth_entry SELECT 9000, time, flags, topics, checksum, lines FROM plinth_entry WHERE number = 2",
            kind: .entry,
            number: 9000
        ),
        Damage(
            sql: "UPDATE plinth_block SET rows = rows - 1 WHERE block = 1",
            kind: .block,
            number: 256,
            reason: "added"
        ),
        Damage(
            sql: "UPDATE plinth_block SET bytes = bytes - 1 WHERE block = 1",
            kind: .block,
            number: 256,
            reason: "bytes"
        ),
        Damage(
            sql: "UPDATE plinth_block SET checksum = checksum + 1 WHERE block = 1",
            kind: .block,
            number: 256,
            reason: "checksums"
        ),
        Damage(sql: "DELETE FROM plinth_block WHERE block = 1", kind: .block, number: 256, reason: "no sums"),
        Damage(sql: "INSERT INTO plinth_block VALUES (99, 7, 0, 0)", kind: .block, number: 25344, reason: "7 of 7"),
        Damage(sql: "INSERT INTO plinth_block VALUES (-1, 7, 0, 0)", kind: .entry, reason: "impossible"),
        Damage(
            sql: "DELETE FROM plinth_place WHERE number = 302",
            kind: .place,
            number: 307,
            topic: "t/2",
            reason: "events missing before it: 1"
        ),
        Damage(sql: "DELETE FROM plinth_place WHERE number = 600", kind: .place, number: 600, topic: "t/0"),
        Damage(
            sql: "DELETE FROM plinth_place WHERE topic = CAST('t/0' AS BLOB) AND number >= 590",
            kind: .topic,
            topic: "t/0",
            reason: "at the end of its index: 3"
        ),
        Damage(
            sql: "UPDATE plinth_place SET ordinal = 9 WHERE number = 302",
            kind: .place,
            number: 302,
            topic: "t/2",
            reason: "ordinal"
        ),
        Damage(
            sql: "UPDATE plinth_place SET sum = sum + 1 WHERE number = 302",
            kind: .place,
            number: 302,
            topic: "t/2",
            reason: "bytes"
        ),
        Damage(
            sql: "UPDATE plinth_place SET topic = CAST('t/0' AS BLOB) WHERE number = 302",
            kind: .place,
            number: 302,
            topic: "t/0"
        ),
        Damage(
            sql: "INSERT INTO plinth_place VALUES (CAST('new' AS BLOB), 302, 1, 100)",
            kind: .place,
            number: 302,
            topic: "new",
            reason: "not one of this topic"
        ),
        Damage(
            sql: "INSERT INTO plinth_place VALUES (CAST('t/2' AS BLOB), 601, 121, 100000)",
            kind: .place,
            number: 601,
            topic: "t/2",
            reason: "no such event"
        ),
        Damage(
            sql: "UPDATE plinth_place SET topic = 't/2' WHERE number = 302",
            kind: .place,
            reason: "without a topic: 1"
        ),
        Damage(
            sql: "INSERT INTO plinth_place VALUES (CAST('t/2' AS BLOB), -7, 0, 0)",
            kind: .place,
            reason: "do not fit"
        ),
        Damage(
            sql: "DELETE FROM plinth_topic WHERE name = CAST('t/2' AS BLOB)",
            kind: .topic,
            topic: "t/2",
            reason: "no row"
        ),
        Damage(
            sql: "UPDATE plinth_topic SET ordinal = ordinal + 1 WHERE name = CAST('t/2' AS BLOB)",
            kind: .topic,
            topic: "t/2",
            reason: "not as it was written"
        ),
        Damage(
            sql: "UPDATE plinth_topic SET removed_sum = 1 WHERE name = CAST('t/2' AS BLOB)",
            kind: .place,
            number: 2,
            topic: "t/2",
            reason: "bytes"
        ),
        Damage(
            sql: "DELETE FROM plinth_place WHERE topic = CAST('also' AS BLOB)",
            kind: .topic,
            topic: "also",
            reason: "at the end of its index: 10"
        ),
        Damage(sql: "UPDATE plinth_end SET subject = x'00'", kind: .end, number: 601, topic: "t/0"),
        Damage(sql: "DELETE FROM plinth_end", kind: .end, number: 601, topic: "t/0", reason: "not known"),
        Damage(
            sql: "DELETE FROM plinth_entry WHERE number = 601",
            kind: .end,
            number: 601,
            topic: "t/0",
            reason: "no entry"
        ),
        Damage(sql: "UPDATE plinth_producer SET sequence = 7", kind: .producer, topic: "t/1", reason: "producer"),
        Damage(sql: "UPDATE plinth_key SET digest = x'00'", kind: .key, reason: "key"),
        Damage(sql: "UPDATE plinth_limit SET events = -1", kind: .limit, topic: "t/1"),
        Damage(sql: "UPDATE plinth_revocation SET until = until + 1", kind: .revocation, reason: "revoked"),
        Damage(sql: "UPDATE plinth_epoch SET first = 700 WHERE id = 1", kind: .epoch, reason: "overlap"),
        Damage(
            sql: "UPDATE plinth_epoch SET token = (SELECT min(token) FROM plinth_epoch)",
            kind: .epoch,
            reason: "twice"
        ),
        Damage(sql: "UPDATE plinth_epoch SET last = 9000 WHERE last IS NULL", kind: .epoch, reason: "current"),
        Damage(sql: "UPDATE plinth_epoch SET last = 590 WHERE last IS NOT NULL", kind: .epoch, number: 591),
        Damage(sql: "DELETE FROM plinth_epoch", kind: .epoch, reason: "none"),
        Damage(sql: "UPDATE plinth_meta SET forgotten = removed + 1", kind: .meta),
        Damage(sql: "UPDATE plinth_meta SET removed = 0", kind: .topic, topic: "t/1", reason: "nothing else"),
    ]

    @Test("Each kind of damage is found, with its place", arguments: damages)
    func damage(_ damage: Damage) async throws {
        let sample = HistoryFileSample()
        try await sample.fill()
        try sample.change(damage.sql)
        let report = try await sample.file.check()
        #expect(!report.isWhole)
        let found = report.problems.contains { problem in
            problem.kind == damage.kind && (damage.number == nil || problem.number == damage.number)
                && (damage.topic == nil || problem.topic?.description == damage.topic)
                && (damage.reason == nil || problem.description.contains(damage.reason ?? ""))
        }
        #expect(found, "\(report.problems)")
        #expect(report.counts[damage.kind, default: 0] > 0)
    }

    @Test("A list is bounded, and its count is not")
    func bounded() async throws {
        let sample = HistoryFileSample()
        try await sample.fill()
        try sample.change("UPDATE plinth_entry SET time = time + 1 WHERE number BETWEEN 101 AND 200")
        let report = try await sample.file.check()
        #expect(report.counts[.entry] == report.counts.values.max())
        #expect(report.counts[.entry, default: 0] > SQLiteHistoryFile.Report.maximumProblems)
        #expect(report.problems.count { $0.kind == .entry } == SQLiteHistoryFile.Report.maximumProblems)
        // What refers to them is not damaged.
        #expect(report.counts[.place] == nil && report.counts[.block] == nil, "\(report.problems)")
    }

    @Test("Damaged pages are found, wherever they are, and everything else is checked nevertheless", arguments: 0..<24)
    func damagedPages(_ seed: UInt64) async throws {
        let sample = HistoryFileSample()
        try await sample.fill()
        var random = SeededGenerator(seed: seed)
        var bytes = try Data(contentsOf: URL(fileURLWithPath: sample.path))
        // Not the first page, without which SQLite does not open the file, nor the second, which tells where pages are.
        let page = Int.random(in: 2..<(bytes.count / 4096), using: &random)
        for index in (page * 4096)..<(page * 4096 + 512) { bytes[index] = UInt8.random(in: 0...255, using: &random) }
        try bytes.write(to: URL(fileURLWithPath: sample.path))
        let report: SQLiteHistoryFile.Report
        do {
            report = try await sample.file.check()
        } catch let error as SQLiteHistoryError {
            // The schema's own pages.
            return #expect(error.code == .damaged, "\(error)")
        }
        #expect(report.counts[.page, default: 0] > 0, "page \(page): \(report.problems)")
    }

    @Test("A file that ends early is damaged")
    func truncated() async throws {
        let sample = HistoryFileSample()
        try await sample.fill()
        let bytes = try Data(contentsOf: URL(fileURLWithPath: sample.path))
        try bytes.prefix(bytes.count / 2).write(to: URL(fileURLWithPath: sample.path))
        do {
            let report = try await sample.file.check()
            #expect(report.counts[.page, default: 0] > 0, "\(report.problems)")
        } catch let error as SQLiteHistoryError {
            #expect(error.code == .damaged, "\(error)")
        }
    }

    @Test("A problem names its kind, number and topic")
    func descriptions() async throws {
        let sample = HistoryFileSample()
        try await sample.fill()
        try sample.change("DELETE FROM plinth_place WHERE number = 302")
        let report = try await sample.file.check()
        let texts = report.problems.map(\.description)
        #expect(texts.contains("place 307 of topic t/2: events missing before it: 1"), "\(texts)")
        #expect(texts.contains("place 302 of topic t/2: the event is not in the topic's index"), "\(texts)")
    }

    @Test("The part that is done grows from 0 to 1")
    func progress() async throws {
        let sample = HistoryFileSample()
        try await sample.fill()
        let parts = Mutex<[Double]>([])
        _ = try await sample.file.check { part in parts.withLock { $0.append(part) } }
        let seen = parts.withLock { $0 }
        #expect(seen == seen.sorted() && seen.last == 1 && seen.allSatisfy { (0...1).contains($0) }, "\(seen)")
    }

    @Test("A check that is cancelled ends")
    func cancelled() async throws {
        let sample = HistoryFileSample()
        try await sample.fill()
        let file = sample.file
        await #expect(throws: CancellationError.self) {
            try await Task {
                try await file.check { _ in withUnsafeCurrentTask { $0?.cancel() } }
            }.value
        }
        #expect(try await file.check().isWhole)
    }
}
#endif
