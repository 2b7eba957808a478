// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import PlinthEvents
import PlinthHub
import Testing

@testable import PlinthSQLite

@Suite("SQLite history: numbers")
struct NumberTests {
    private let files = TemporaryFiles()
    private let clock = TestClock()

    @Test("After everything was removed and an error, no ID is used again, and events are delivered")
    func error() async throws {
        let history = files.history(clock)
        let delivered = Delivered()
        _ = try await history.open { delivered.add($0) }
        try files.failInserts(of: "fault")
        let first = try await history.append(AppendRequest(try ["1", "2", "3"].map { try .test($0, "a") }))
        _ = try await history.purge(try Topic("a"))
        await #expect(throws: HistoryError.self) {
            try await history.append(AppendRequest([try .test("fault", "a")]))
        }
        clock.advance(by: .seconds(2))
        let next = try await history.append(AppendRequest([try .test("4", "a")]))
        #expect(!first.ids.contains(next.ids[0]))
        #expect(delivered.data == ["1", "2", "3", "4"])
        #expect(try await history.readThrough(after: Position(3), try .topics("a")).data == ["4"])
        await history.close()
    }

    @Test("An application's event after everything was removed has a new ID, and is delivered")
    func application() async throws {
        let pool = try files.pool()
        let hub = try await Hub(history: SQLiteHistory(pool))
        let topic = try Topic("a")
        var ids: [EventID] = []
        for number in 1...3 { ids.append(try await hub.publish(ServerSentEvent(data: "\(number)"), to: topic)) }
        try await hub.purge(topic)
        let id = try await pool.write { try hub.publish(ServerSentEvent(data: "4"), to: topic, in: $0) }
        #expect(!ids.contains(id))
        try await hub.publish(ServerSentEvent(data: "5"), to: topic)
        var seen: [String] = []
        try await hub.subscribe(to: .exact(topic), from: .after(ids[2])) { updates in
            for try await update in updates {
                guard case .event(let published) = update else {
                    Issue.record("\(update)")
                    break
                }
                seen.append(published.event.data)
                if published.event.data == "5" { break }
            }
        }
        #expect(seen == ["4", "5"])
    }

    @Test("After everything was removed and a restart, no ID is used again, also not one that a key's answer has")
    func restart() async throws {
        let history = files.history(clock)
        _ = try await history.open { _ in }
        _ = try await history.append(AppendRequest([try .test("1", "a"), try .test("2", "a")]))
        let key = try #require(IdempotencyKey(Array("k".utf8)))
        let request = AppendRequest([try .test("3", "a")], key: key)
        let answer = try await history.append(request)
        _ = try await history.purge(try Topic("a"))
        await history.close()
        let again = files.again(clock)
        #expect(try await again.open { _ in } == Position(3))
        #expect(try await again.append(request).lastID == answer.lastID)
        let more = try await again.append(AppendRequest(try ["4", "5", "6"].map { try .test($0, "a") }))
        #expect(!more.ids.contains(answer.lastID))
        #expect(try await again.locate(answer.lastID) != .found(Position(4)))
        #expect(try await again.readThrough(after: Position(3), try .topics("a")).numbers == [4, 5, 6])
        await again.close()
    }
}
#endif
