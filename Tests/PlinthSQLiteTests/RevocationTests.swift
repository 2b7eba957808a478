// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Dispatch
import Foundation
import GRDB
import PlinthEvents
import PlinthHub
import PlinthTestSupport
import Synchronization
import Testing

@testable import PlinthSQLite

@Suite("SQLite history: revocations")
struct RevocationTests {
    private let files = TemporaryFiles()
    private let clock = TestClock()

    private func saved(_ history: SQLiteHistory) async throws -> Set<HubRevocation> {
        let all = try await SQLiteRevocationStore(history).revocations()
        #expect(Set(all).count == all.count)
        return Set(all)
    }

    /// The statements of a history's writing connection from now on.
    private func statements(of history: SQLiteHistory) throws -> StatementLog {
        let pool = try #require(history.writer.state.withLock { $0.connection?.pool })
        return StatementLog(pool)
    }

    // MARK: - Saving

    @Test("Revocations are there after a restart, as they were saved")
    func restart() async throws {
        let history = files.history(clock)
        _ = try await history.open { _ in }
        let revocations: Set<HubRevocation> = [
            .test("user-7"), .test("user-7", issuer: "https://issuer.example"), .test("user-7", issuer: ""),
            .test("caf\u{e9}", issuer: "\u{1F511}", time: 1),
            .test("cafe\u{301}", time: 2, until: .greatestFiniteMagnitude),
        ]
        let store = SQLiteRevocationStore(history)
        #expect(store.isLasting)
        for revocation in revocations { try await store.save(revocation, now: .test(0)) }
        let expected = Set(
            revocations.map { $0.isKeptUntil == .test(.greatestFiniteMagnitude) ? $0.kept(until: lastTime) : $0 }
        )
        #expect(try await saved(history) == expected)
        await history.close()
        let again = files.again(clock)
        _ = try await again.open { _ in }
        #expect(try await saved(again) == expected)
        let hub = try await HubRevocations(store: SQLiteRevocationStore(again), maximumLifetime: .seconds(3600))
        #expect(hub.isLasting)
        #expect(hub.isRevoked(HubGrant(subject: HubSubject("cafe\u{301}"))))
        await again.close()
    }

    /// The last time that is stored: what nanoseconds since 1970 can count.
    private let lastTime = 9_223_372_036.854_775_8

    @Test("A revocation replaces one of the same name and issuer, and no other")
    func replaces() async throws {
        let history = files.history(clock)
        _ = try await history.open { _ in }
        let store = SQLiteRevocationStore(history)
        let others: [HubRevocation] = [
            .test("a", issuer: "b"), .test("a", issuer: ""), .test("A"), .test("a\0"), .test("ab"),
        ]
        for revocation in others + [.test("a", time: 1), .test("a", time: 3), .test("a", time: 2)] {
            try await store.save(revocation, now: .test(0))
        }
        #expect(try await saved(history) == Set(others + [.test("a", time: 2)]))
        await history.close()
    }

    @Test("Saving one removes those that are no longer kept, at most 512 of them, and the oldest first")
    func removesOld() async throws {
        let history = files.history(clock)
        _ = try await history.open { _ in }
        let store = SQLiteRevocationStore(history)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<600 {
                group.addTask { try await store.save(.test("\(number)", until: 1000 + Double(number)), now: .test(0)) }
            }
            try await group.waitForAll()
        }
        #expect(try await saved(history).count == 600)
        try await store.save(.test("new", until: 5000), now: .test(1598))
        let left = Set((512..<600).map { HubRevocation.test("\($0)", until: 1000 + Double($0)) })
        #expect(try await saved(history) == left.union([.test("new", until: 5000)]))
        // Not that which is kept for a second more.
        try await store.save(.test("new", until: 5000), now: .test(1598))
        #expect(try await saved(history) == [.test("599", until: 1599), .test("new", until: 5000)])
        await history.close()
    }

    @Test("Revocations that arrive while the writer works share one transaction, and so do appends beside them")
    func together() async throws {
        let history = files.history(clock)
        _ = try await history.open { _ in }
        let store = SQLiteRevocationStore(history)
        let log = try statements(of: history)
        let (waiting, proceed) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        history.queue.add {
            waiting.signal()
            proceed.wait()
        }
        await onThread { waiting.wait() }
        var saves: [Task<Void, any Error>] = []
        for number in 0..<100 {
            saves.append(Task { try await store.save(.test("\(number)"), now: .test(0)) })
            while history.writer.pendingRevocations.withLock({ $0.count }) <= number { await Task.yield() }
        }
        let event = try NewEvent.test("1", "a")
        let append = Task { try await history.append(AppendRequest([event])) }
        while history.queue.waitingCount < 1 { await Task.yield() }
        proceed.signal()
        for save in saves { try await save.value }
        _ = try await append.value
        #expect(log.count("COMMIT") == 2)
        #expect(try await saved(history).count == 100)
        await history.close()
    }

    // MARK: - Durability

    @Test(
        "A revocation is synced whatever the setting, which is then as before",
        arguments: SQLiteHistoryOptions.Sync.allCases
    )
    func synced(_ sync: SQLiteHistoryOptions.Sync) async throws {
        var options = SQLiteHistoryOptions()
        options.sync = sync
        let history = files.history(options, clock)
        _ = try await history.open { _ in }
        let setting = sync == .full ? 2 : 1
        try await expectSync(history, before: setting)
        _ = try await history.append(AppendRequest([try .test("1", "a")]))
        await history.close()
    }

    @Test("In an application's database too, whose setting is then as before", arguments: 0...3)
    func syncedInApplication(_ setting: Int) async throws {
        let pool = try files.pool()
        try await pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = \(setting)") }
        let history = SQLiteHistory(pool)
        _ = try await history.open { _ in }
        try await expectSync(history, before: setting)
        await history.close()
    }

    private func expectSync(_ history: SQLiteHistory, before: Int) async throws {
        let log = try statements(of: history)
        try await SQLiteRevocationStore(history).save(.test("a"), now: .test(0))
        let statements = log.all
        let settings = statements.indices.filter { statements[$0].hasPrefix("PRAGMA synchronous = ") }
        let commit = try #require(statements.firstIndex { $0.hasPrefix("COMMIT") })
        #expect(settings.count == 2 && settings[0] < commit && commit < settings[1], "\(statements)")
        #expect(settings.map { statements[$0].last } == [max(2, before), before].map { "\($0)".last })
        let pool = try #require(history.writer.state.withLock { $0.connection?.pool })
        let after = try await pool.writeWithoutTransaction { try Int.fetchOne($0, sql: "PRAGMA synchronous") }
        #expect(after == before)
    }

    @Test("A revocation that cannot be written holds until the process ends, is reported, and can be saved again")
    func failingDisk() async throws {
        let history = files.history(clock)
        let delivered = Delivered()
        _ = try await history.open { delivered.add($0) }
        let store = SQLiteRevocationStore(history)
        try await store.save(.test("old", until: 10), now: .test(0))
        let revocations = try await HubRevocations(store: store, maximumLifetime: .seconds(3600))
        try files.execute(
            """
            CREATE TRIGGER fault BEFORE INSERT ON plinth_revocation
            BEGIN SELECT RAISE(ABORT, 'fault'); END
            """
        )
        let error = await #expect(throws: SQLiteHistoryError.self) { try await revocations.revoke("user") }
        #expect(error?.code == .unusable)
        #expect(
            error?.description.contains("fault; the revocation is not saved") == true,
            "\(String(describing: error))"
        )
        #expect(revocations.isRevoked(HubGrant(subject: "user")))
        try files.execute("DROP TRIGGER fault")
        clock.advance(by: .seconds(2))
        // What was to be removed with it is still there.
        #expect(try await saved(history) == [.test("old", until: 10)])
        let revocation = try await revocations.revoke("user")
        #expect(try await store.revocations().map(\.name) == [revocation.name])
        _ = try await history.append(AppendRequest([try .test("1", "a")]))
        #expect(delivered.data == ["1"])
        await history.close()
    }

    @Test("A full file refuses a revocation, and takes it once there is room")
    func fullFile() async throws {
        let history = files.history(clock)
        _ = try await history.open { _ in }
        let store = SQLiteRevocationStore(history)
        let pool = try #require(history.writer.state.withLock { $0.connection?.pool })
        func setMaximum(_ pages: Int) async throws {
            try await pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA max_page_count = \(pages)") }
        }
        try await setMaximum(1)
        // More than the page that it would lie on has room for.
        let large = HubRevocation.test(String(repeating: "x", count: 20_000))
        let error = await #expect(throws: SQLiteHistoryError.self) { try await store.save(large, now: .test(0)) }
        #expect(error?.code == .unusable && error?.description.contains("no room") == true)
        try await setMaximum(100_000)
        clock.advance(by: .seconds(2))
        #expect(try await saved(history) == [])
        try await store.save(large, now: .test(0))
        #expect(try await saved(history) == [large])
        await history.close()
    }

    @Test("Nothing is saved into a file that was replaced or removed, not even at once")
    func replacedFile() async throws {
        let history = files.history(clock)
        _ = try await history.open { _ in }
        let store = SQLiteRevocationStore(history)
        try await store.save(.test("a"), now: .test(0))
        try FileManager.default.removeItem(atPath: files.lastPath)
        let error = await #expect(throws: SQLiteHistoryError.self) { try await store.save(.test("b"), now: .test(0)) }
        #expect(error?.code == .unusable && error?.description.contains("replaced or removed") == true)
        await history.close()
    }

    @Test("Before the history is open, and after it was closed, revocations are refused with the reason")
    func notOpen() async throws {
        let history = files.history(clock)
        let store = SQLiteRevocationStore(history)
        func refusals() async -> [SQLiteHistoryError?] {
            [
                await #expect(throws: SQLiteHistoryError.self) { try await store.revocations() },
                await #expect(throws: SQLiteHistoryError.self) { try await store.save(.test("a"), now: .test(0)) },
            ]
        }
        for error in await refusals() {
            #expect(error?.code == .unusable && error?.description.contains("create its hub first") == true)
        }
        _ = try await history.open { _ in }
        try await store.save(.test("a"), now: .test(0))
        await history.close()
        for error in await refusals() {
            #expect(error?.code == .unusable && error?.description == "the history is closed")
        }
    }

    // MARK: - Migrations

    @Test("An application's database keeps revocations, and its own transactions go on")
    func application() async throws {
        let pool = try files.pool()
        let history = SQLiteHistory(pool)
        let hub = try await Hub(history: history)
        let topic = try Topic("a")
        try await SQLiteRevocationStore(history).save(.test("a"), now: .test(0))
        try await pool.write { _ = try hub.publish(ServerSentEvent(data: "1"), to: topic, in: $0) }
        try await SQLiteRevocationStore(history).save(.test("b"), now: .test(0))
        await history.close()
        let again = SQLiteHistory(pool)
        _ = try await again.open { _ in }
        #expect(try await saved(again) == [.test("a"), .test("b")])
        #expect(try await again.readThrough(Selection([.all])).data == ["1"])
        await again.close()
    }

    /// The tables of the first version in a new database, which is a hub's own or an application's.
    private func firstLayout(isOwn: Bool) throws {
        let queue = try DatabaseQueue(path: files.path())
        defer { try? queue.close() }
        var migrator = DatabaseMigrator()
        SQLiteHistory.registerMigrations(in: &migrator)
        try migrator.migrate(queue, upTo: "plinth-1")
        try queue.write { db in
            if isOwn { try db.execute(sql: "PRAGMA application_id = \(Schema.applicationID)") }
            try db.execute(sql: "INSERT INTO plinth_limit VALUES (CAST('a' AS BLOB), 1, NULL, NULL)")
        }
    }

    @Test("A file of the first version is migrated when it is opened")
    func migration() async throws {
        try firstLayout(isOwn: true)
        #expect(try files.number("SELECT layout FROM plinth_meta") == 1)
        let history = files.again(clock)
        _ = try await history.open { _ in }
        #expect(try files.number("SELECT layout FROM plinth_meta") == 2)
        #expect(try await saved(history) == [])
        try await SQLiteRevocationStore(history).save(.test("a"), now: .test(0))
        #expect(try await saved(history) == [.test("a")])
        #expect(try await history.statistics().limitedTopics == 1)
        await history.close()
    }

    @Test("An application's database of the first version is refused until it is migrated")
    func applicationMigration() async throws {
        try firstLayout(isOwn: false)
        let pool = try DatabasePool(path: files.lastPath)
        let error = await #expect(throws: SQLiteHistoryError.self) {
            _ = try await SQLiteHistory(pool).open { _ in }
        }
        #expect(error?.code == .notMigrated)
        #expect(error?.description.contains("registerMigrations") == true)
        try pool.close()
        let history = SQLiteHistory(try files.pool(at: files.lastPath))
        _ = try await history.open { _ in }
        try await SQLiteRevocationStore(history).save(.test("a"), now: .test(0))
        #expect(try await saved(history) == [.test("a")])
        await history.close()
    }

    @Test("Tools read a file of the first version as it is")
    func tools() async throws {
        try firstLayout(isOwn: true)
        let path = files.lastPath
        let copy = files.path()
        let result = try await SQLiteHistoryFile(path: path).copy(to: copy, isChecked: true)
        #expect(result.report?.isWhole == true && result.report?.revocations == 0)
        #expect(try await SQLiteHistoryFile(path: copy).statistics().revocations == 0)
        #expect(try files.number("SELECT layout FROM plinth_meta") == 1)
        // What changes a file opens it as a hub does.
        try await SQLiteHistoryFile(path: copy).compact()
        #expect(try files.number("SELECT layout FROM plinth_meta") == 2)
    }
}

/// The statements that a history's writing connection runs.
private final class StatementLog: Sendable {
    private let statements = Mutex<[String]>([])

    init(_ pool: DatabasePool) {
        pool.writeWithoutTransaction { db in
            db.trace { [self] event in statements.withLock { $0.append("\(event)") } }
        }
    }

    var all: [String] { statements.withLock { $0 } }

    func count(_ beginning: String) -> Int { all.count { $0.hasPrefix(beginning) } }
}
#endif
