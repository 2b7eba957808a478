// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Dispatch
import GRDB
import PlinthEvents
import PlinthHub
import PlinthSQLite
import Synchronization
import Testing

@Suite("SQLite history in an application's database")
struct ApplicationDatabaseTests {
    private struct Refusal: Error {}

    private let files = TemporaryFiles()
    private let topic: Topic

    init() throws { topic = try Topic("orders") }

    private func pool() throws -> DatabasePool {
        let pool = try DatabasePool(path: files.path())
        var migrator = DatabaseMigrator()
        migrator.registerMigration("orders") { try $0.execute(sql: "CREATE TABLE orders (id INTEGER PRIMARY KEY)") }
        SQLiteHistory.registerMigrations(in: &migrator)
        try migrator.migrate(pool)
        return pool
    }

    /// Receives updates until one has the data `last`.
    private func received(_ hub: Hub, from start: StreamStart, until last: String) async throws -> [String] {
        var seen: [String] = []
        try await hub.subscribe(to: .exact(topic), from: start) { updates in
            for try await update in updates {
                guard case .event(let event) = update else {
                    Issue.record("\(update)")
                    break
                }
                seen.append(event.event.data)
                if event.event.data == last { break }
            }
        }
        return seen
    }

    @Test("A row and its event are committed together, and the event is delivered in order with the hub's own")
    func commits() async throws {
        let pool = try pool()
        let hub = try await Hub(history: SQLiteHistory(pool))
        async let seen = received(hub, from: .earliest, until: "last")
        var ids: [EventID] = []
        for number in 0..<50 {
            if number % 3 == 0 {
                ids.append(try await hub.publish(ServerSentEvent(data: "\(number)"), to: topic))
            } else {
                ids.append(
                    try await pool.write { db in
                        try db.execute(sql: "INSERT INTO orders VALUES (?)", arguments: [number])
                        return try hub.publish(ServerSentEvent(data: "\(number)"), to: topic, in: db)
                    }
                )
            }
        }
        try await hub.publish(ServerSentEvent(data: "last"), to: topic)
        #expect(try await seen == (0..<50).map(String.init) + ["last"])
        #expect(Set(ids).count == 50)
        for (index, id) in ids.enumerated() {
            #expect(try await received(hub, from: .after(id), until: "last").count == 50 - index)
        }
        #expect(try await pool.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM orders") } == 33)
    }

    @Test("A rollback takes the event back, and so does one to a savepoint within a commit")
    func rollsBack() async throws {
        let pool = try pool()
        let hub = try await Hub(history: SQLiteHistory(pool))
        try await hub.publish(ServerSentEvent(data: "1"), to: topic)
        let event = ServerSentEvent(data: "phantom")
        await #expect(throws: Refusal.self) {
            try await pool.write { db in
                try hub.publish(event, to: topic, in: db)
                throw Refusal()
            }
        }
        try await pool.write { db in
            try hub.publish(ServerSentEvent(data: "2"), to: topic, in: db)
            try db.inSavepoint {
                try hub.publish(event, to: topic, in: db)
                return .rollback
            }
            try hub.publish(ServerSentEvent(data: "3"), to: topic, in: db)
        }
        try await hub.publish(ServerSentEvent(data: "4"), to: topic)
        #expect(try await received(hub, from: .earliest, until: "4") == ["1", "2", "3", "4"])
        let again = try await hub.history.read(after: nil, selection: Selection([.all]), limit: ReadLimit())
        #expect(again.entries.map(\.event.data) == ["1", "2", "3", "4"])
        #expect(again.entries.map(\.position.number) == [1, 2, 3, 4])
    }

    @Test("While an application's transaction is held, streams continue and publishing fails as not taken")
    func heldTransaction() async throws {
        let pool = try pool()
        let clock = TestClock()
        let history = SQLiteHistory(pool, options: SQLiteHistoryOptions(), clock: clock.clock)
        let hub = try await Hub(history: history)
        try await hub.publish(ServerSentEvent(data: "1"), to: topic)
        let (begins, begin) = AsyncStream.makeStream(of: Void.self)
        let (ends, end) = AsyncStream.makeStream(of: Void.self)
        let (holding, released) = AsyncStream.makeStream(of: Void.self)
        // On a thread of its own, since it blocks: the transaction is held until the test has seen enough.
        DispatchQueue(label: "application").async { [topic] in
            let result = Result {
                try pool.write { db in
                    try hub.publish(ServerSentEvent(data: "2"), to: topic, in: db)
                    begin.yield()
                    let done = DispatchSemaphore(value: 0)
                    Task {
                        for await _ in ends { break }
                        done.signal()
                    }
                    done.wait()
                }
            }
            if case .failure(let error) = result { Issue.record(error) }
            released.finish()
        }
        for await _ in begins { break }
        // Time passes until the publish has failed.
        let isWaiting = Mutex(true)
        let passing = Task {
            while isWaiting.withLock({ $0 }) {
                clock.advance(by: .seconds(1))
                history.failLateAppends()
                await Task.yield()
            }
        }
        let error = await #expect(throws: HistoryError.self) {
            try await hub.publish(ServerSentEvent(data: "refused"), to: topic)
        }
        isWaiting.withLock { $0 = false }
        await passing.value
        #expect(error?.code == .notTaken)
        // Reading needs no transaction of the writer.
        #expect(try await received(hub, from: .earliest, until: "1") == ["1"])
        end.yield()
        for await _ in holding {}
        try await hub.publish(ServerSentEvent(data: "3"), to: topic)
        #expect(try await received(hub, from: .earliest, until: "3") == ["1", "2", "3"])
    }

    @Test("Types of the hub, ended topics, other databases and missing transactions are refused")
    func refuses() async throws {
        let pool = try pool()
        let history = SQLiteHistory(pool)
        let hub = try await Hub(history: history)
        let gap = ServerSentEvent(type: "gap", data: "")
        let event = ServerSentEvent(data: "")
        await #expect(throws: HubError.self) { try await pool.write { try hub.publish(gap, to: topic, in: $0) } }
        await #expect(throws: SQLiteHistoryError.self) {
            try await pool.writeWithoutTransaction { try hub.publish(event, to: topic, in: $0) }
        }
        await #expect(throws: SQLiteHistoryError.self) {
            try await pool.read { try hub.publish(event, to: topic, in: $0) }
        }
        let other = try self.pool()
        await #expect(throws: SQLiteHistoryError.self) {
            try await other.write { try hub.publish(event, to: topic, in: $0) }
        }
        try await hub.end(topic)
        let error = await #expect(throws: HistoryError.self) {
            try await pool.write { try hub.publish(event, to: topic, in: $0) }
        }
        #expect(error?.code == .topicEnded && error?.lastID == hub.mark())
        let memory = try await Hub()
        await #expect(throws: SQLiteHistoryError.self) {
            try await pool.write { try memory.publish(event, to: topic, in: $0) }
        }
        await history.close()
        let closed = await #expect(throws: SQLiteHistoryError.self) {
            try await pool.write { try hub.publish(event, to: try Topic("b"), in: $0) }
        }
        #expect(closed?.code == .unusable)
    }

    @Test("A publish that fails is undone as a whole, also if the application commits the rest")
    func failsMidway() async throws {
        let pool = try pool()
        let hub = try await Hub(history: SQLiteHistory(pool))
        try await pool.write {
            try $0.execute(
                sql: """
                    CREATE TRIGGER fault BEFORE INSERT ON plinth_block WHEN NEW.rows > 0
                    BEGIN SELECT RAISE(ABORT, 'fault'); END
                    """
            )
        }
        try await pool.write { db in
            _ = try? hub.publish(ServerSentEvent(data: "lost"), to: topic, in: db)
            try db.execute(sql: "DROP TRIGGER fault")
        }
        try await hub.publish(ServerSentEvent(data: "1"), to: topic)
        #expect(try await received(hub, from: .earliest, until: "1") == ["1"])
        #expect(hub.mark().description.hasSuffix("-1"))
    }

    @Test("The mark is at or behind an event that a transaction has published")
    func mark() async throws {
        let pool = try pool()
        let hub = try await Hub(history: SQLiteHistory(pool))
        for number in 0..<100 {
            let id = try await pool.write { try hub.publish(ServerSentEvent(data: "\(number)"), to: topic, in: $0) }
            #expect(hub.mark() == id)
            #expect(try await hub.status().published == number + 1)
        }
    }

    @Test("Reading from the disk right after a transaction reports no gap")
    func readsAtOnce() async throws {
        let pool = try pool()
        var options = SQLiteHistoryOptions()
        // Nothing stays in memory.
        options.recentBytes = 0
        let history = SQLiteHistory(pool, options: options)
        let hub = try await Hub(history: history)
        for number in 0..<200 {
            try await pool.write { _ = try hub.publish(ServerSentEvent(data: "\(number)"), to: topic, in: $0) }
            let batch = try await history.read(
                after: Position(UInt64(number)),
                selection: Selection([.exact(topic)]),
                limit: ReadLimit()
            )
            #expect(batch.missingThrough == nil && batch.entries.map(\.event.data) == ["\(number)"])
        }
    }

    @Test("The application's setting of syncs stays as it is", arguments: [1, 2, 3])
    func keepsSync(_ setting: Int) async throws {
        let pool = try pool()
        try await pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = \(setting)") }
        for sync in SQLiteHistoryOptions.Sync.allCases {
            var options = SQLiteHistoryOptions()
            options.sync = sync
            let history = SQLiteHistory(pool, options: options)
            try await Hub(history: history).publish(ServerSentEvent(data: ""), to: topic)
            await history.close()
            let after = try await pool.writeWithoutTransaction { try Int.fetchOne($0, sql: "PRAGMA synchronous") }
            #expect(after == setting)
        }
    }

    @Test("A database without the tables is refused, with what to do")
    func notMigrated() async throws {
        let pool = try DatabasePool(path: files.path())
        let error = await #expect(throws: SQLiteHistoryError.self) { _ = try await Hub(history: SQLiteHistory(pool)) }
        #expect(error?.code == .notMigrated)
        #expect(error?.description.contains("registerMigrations") == true)
    }

    @Test("After a restart, events of the application's transactions are there, and IDs continue")
    func restarts() async throws {
        let pool = try pool()
        var history = SQLiteHistory(pool)
        var hub = try await Hub(history: history)
        let first = try await pool.write { [hub] in try hub.publish(ServerSentEvent(data: "1"), to: topic, in: $0) }
        await history.close()
        history = SQLiteHistory(pool)
        hub = try await Hub(history: history)
        _ = try await pool.write { [hub] in try hub.publish(ServerSentEvent(data: "2"), to: topic, in: $0) }
        #expect(try await received(hub, from: .after(first), until: "2") == ["2"])
        #expect(try await received(hub, from: .earliest, until: "2") == ["1", "2"])
    }
}
#endif
