// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import PlinthEvents
import PlinthHub
import Testing

@testable import PlinthSQLite

@Suite("SQLite history: what is kept")
struct RetentionTests {
    private let files = TemporaryFiles()
    private let clock = TestClock()

    @Test("Events that are too old are removed also between ends, which stay")
    func ends() async throws {
        var options = SQLiteHistoryOptions()
        options.topic = HistoryLimits(age: .seconds(10))
        let history = files.history(options, clock)
        _ = try await history.open { _ in }
        for job in 0..<15 {
            let topic = try Topic("job/\(job)")
            let events = try (0..<99).map { try NewEvent.test("\($0)", "job/\(job)") }
            _ = try await history.append(AppendRequest(events, ending: topic))
        }
        clock.advance(by: .seconds(20))
        await history.expire()
        #expect(try await history.statistics().events == 0)
        #expect(try files.number("SELECT count(*) FROM plinth_entry") == 15)
        await history.close()
    }

    @Test("A topic whose own age is taken away keeps its events no longer than others")
    func ownAge() async throws {
        var options = SQLiteHistoryOptions()
        options.topic = HistoryLimits(age: .seconds(60))
        let history = files.history(options, clock)
        _ = try await history.open { _ in }
        let topic = try Topic("a")
        _ = try await history.setLimits(TopicLimits(age: .seconds(3600)), of: topic)
        _ = try await history.append(AppendRequest([try .test("1", "a")]))
        clock.advance(by: .seconds(120))
        await history.expire()
        #expect(try await history.statistics().events == 1)
        _ = try await history.setLimits(TopicLimits(events: 100), of: topic)
        clock.advance(by: .seconds(120))
        await history.expire()
        #expect(try await history.statistics().events == 0)
        await history.close()
    }

    @Test("A producer that was dropped and came back is known after a restart")
    func producers() async throws {
        var options = SQLiteHistoryOptions()
        options.quotas.producers = 2
        let history = files.history(options, clock)
        _ = try await history.open { _ in }
        let ids = try [1, 2, 3].map { try #require(ProducerID([$0])) }
        func request(_ id: ProducerID) throws -> AppendRequest {
            AppendRequest([try .test("x", "a")], producer: ProducerStamp(id: id, epoch: 0, sequence: 0))
        }
        for id in ids[..<2] { _ = try await history.append(try request(id)) }
        await history.expire()
        clock.advance(by: .seconds(7200))
        // The first is dropped for the third, and then comes back.
        _ = try await history.append(try request(ids[2]))
        _ = try await history.append(try request(ids[0]))
        clock.advance(by: .seconds(11))
        await history.expire()
        let topic = try Topic("a")
        let before = try await history.producer(ids[0], of: nil, in: topic)
        #expect(before != nil)
        await history.close()
        let again = files.again(options, clock)
        _ = try await again.open { _ in }
        #expect(try await again.producer(ids[0], of: nil, in: topic) == before)
        #expect(try await again.append(try request(ids[0])).repeated == 1)
        await again.close()
    }

    @Test("All keys that are too old are deleted, however many they are")
    func keys() async throws {
        var options = SQLiteHistoryOptions()
        options.quotas.keyAge = .seconds(5)
        let history = files.history(options, clock)
        _ = try await history.open { _ in }
        let key = try #require(IdempotencyKey(Array("k".utf8)))
        _ = try await history.append(AppendRequest([try .test("x", "a")], key: key))
        try files.execute(
            """
            INSERT INTO plinth_key (subject, key, digest, count, repeated, position, time, checksum)
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
            SELECT subject, key, digest, count, repeated, position, time, checksum FROM plinth_key, n
            """
        )
        clock.advance(by: .seconds(4))
        await history.expire()
        #expect(try files.number("SELECT count(*) FROM plinth_key") == 20_001)
        clock.advance(by: .seconds(11))
        await history.expire()
        #expect(try files.number("SELECT count(*) FROM plinth_key") == 0)
        await history.close()
    }

    @Test("The topics in memory are bounded, also while all are new")
    func topicsInMemory() async throws {
        let queue = try DatabaseQueue()
        try await queue.write { db in
            try Schema.create(db)
            var topics = TopicStates()
            let count = 70_000
            for number in 0..<count {
                _ = try topics.append(to: Topic(trusted: Array("\(number)".utf8)), bytes: 1, forgotten: 0, db)
                if number % 5000 == 0 { try topics.storeUrgent(db) }
            }
            try topics.storeAll(db)
            let states = Mirror(reflecting: topics).children.first { $0.label == "states" }?.value
            let held = try #require(states as? [Topic: TopicState]).count
            #expect(held <= 65_536)
            #expect(try Int.fetchOne(db, sql: "SELECT count(*) FROM plinth_topic") == count)
        }
    }
}
#endif
