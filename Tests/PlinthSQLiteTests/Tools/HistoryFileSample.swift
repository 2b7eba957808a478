// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Foundation
import GRDB
import PlinthEvents
import PlinthHub
import PlinthSQLite

/// A history's file for tests of the tools, with something of everything.
struct HistoryFileSample {
    let files = TemporaryFiles()
    let clock = TestClock()
    let path: String

    var file: SQLiteHistoryFile { SQLiteHistoryFile(path: path) }

    init() { path = files.path() }

    func history(_ options: SQLiteHistoryOptions = SQLiteHistoryOptions()) -> SQLiteHistory {
        SQLiteHistory(path: path, options: options, clock: clock.clock)
    }

    static func request(_ data: String, _ topics: String...) throws -> AppendRequest {
        AppendRequest([NewEvent(ServerSentEvent(data: data), topics: try topics.map { try Topic($0) })])
    }

    /// Writes 600 events of topics `t/0` to `t/4`, of which 10 are also of `also`; then the end of `t/0`, a producer in
    /// `t/1`, a key, limits of `t/1` that leave 50 events, and a revocation.
    ///
    /// The numbers are 1 to 603, over two openings.
    func fill() async throws {
        let first = history()
        _ = try await first.open { _ in }
        for start in stride(from: 1, to: 600, by: 50) {
            let events = try (start..<(start + 50)).map { number in
                let names = ["t/\(number % 5)"] + (number % 60 == 7 ? ["also"] : [])
                return NewEvent(ServerSentEvent(data: "\(number)"), topics: try names.map { try Topic($0) })
            }
            _ = try await first.append(AppendRequest(events))
        }
        await first.close()
        let second = history()
        _ = try await second.open { _ in }
        _ = try await second.append(AppendRequest([], ending: try Topic("t/0"), subject: nil))
        let event = NewEvent(ServerSentEvent(data: "numbered"), topics: [try Topic("t/1")])
        let stamp = ProducerID(Array("producer".utf8)).map { ProducerStamp(id: $0, epoch: 1, sequence: 0) }
        _ = try await second.append(AppendRequest([event], producer: stamp))
        _ = try await second.append(AppendRequest([event], key: IdempotencyKey(Array("key".utf8))))
        _ = try await second.setLimits(TopicLimits(events: 50), of: try Topic("t/1"))
        try await SQLiteRevocationStore(second).save(.test("revoked", issuer: "issuer"), now: .test(0))
        await second.expire()
        await second.close()
    }

    /// Changes the file as no hub does.
    func change(_ sql: String) throws {
        let queue = try DatabaseQueue(path: path)
        defer { try? queue.close() }
        try queue.write { try $0.execute(sql: sql) }
    }

    /// What a file holds: the rows of all tables but the epochs.
    static func content(_ path: String) throws -> [String] {
        let queue = try DatabaseQueue(path: path)
        defer { try? queue.close() }
        return try queue.read { db in
            let tables = try String.fetchAll(
                db,
                sql: "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'plinth_*' ORDER BY name"
            )
            return try tables.filter { $0 != "plinth_epoch" }.flatMap { table in
                try Row.fetchAll(db, sql: "SELECT * FROM \(table)").map { "\(table) \($0)" }
            }
        }
    }
}
#endif
