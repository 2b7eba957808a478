// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Foundation
import GRDB
import PlinthSQLite
import Synchronization

/// The floor: the rows of a `SQLiteHistory`, inserted as an application would insert them with GRDB.
///
/// The same tables, one transaction for each batch. It checks, removes, delivers and keeps nothing in memory but each
/// topic's last ordinal and sum.
final class PlainStore: Sendable {
    private struct State {
        var number: Int64 = 0
        var topics: [(ordinal: Int64, sum: Int64)]
    }

    private let pool: DatabasePool
    private let names: [Data]
    private let lines = Data("data: \(String(repeating: "x", count: eventSize))\n".utf8)
    private let state: Mutex<State>
    private let group: Mutex<Group>
    private let queue = DispatchQueue(label: "writer")

    init(_ path: String, isFull: Bool, topics: Int) throws {
        pool = try DatabasePool(path: path)
        var migrator = DatabaseMigrator()
        SQLiteHistory.registerMigrations(in: &migrator)
        try migrator.migrate(pool)
        // A pool sets NORMAL when it opens.
        if isFull { try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") } }
        names = (0..<topics).map { Data("log/\($0)".utf8) }
        state = Mutex(State(topics: Array(repeating: (0, 0), count: topics)))
        group = Mutex(Group())
    }

    func close() throws { try pool.close() }

    // MARK: - One publisher

    /// Appends events in a transaction.
    func append(from first: Int, count: Int) async throws {
        try await pool.write { try self.insert(first..<first + count, $0) }
    }

    /// The same, blocking the thread.
    func appendBlocking(from first: Int, count: Int) throws {
        try pool.write { try insert(first..<first + count, $0) }
    }

    // MARK: - Many publishers

    private struct Group {
        var waiting: [(number: Int, continuation: CheckedContinuation<Void, any Error>)] = []
        var isRunning = false
    }

    /// Appends an event in a transaction with those that other tasks append meanwhile.
    func appendInGroup(_ number: Int) async throws {
        try await withCheckedThrowingContinuation { continuation in
            let starts = group.withLock { group in
                group.waiting.append((number, continuation))
                defer { group.isRunning = true }
                return !group.isRunning
            }
            if starts { queue.async { self.runGroup() } }
        }
    }

    private func runGroup() {
        while true {
            let waiting = group.withLock { group in
                defer { group.waiting = [] }
                group.isRunning = !group.waiting.isEmpty
                return group.waiting
            }
            guard !waiting.isEmpty else { return }
            let result = Result { try pool.write { try insert(waiting.map(\.number), $0) } }
            for (_, continuation) in waiting { continuation.resume(with: result) }
        }
    }

    // MARK: - Rows

    private func insert(_ numbers: some Sequence<Int>, _ db: Database) throws {
        try state.withLock { try Self.insert(numbers, &$0, names, lines, db) }
    }

    private static func insert(
        _ numbers: some Sequence<Int>,
        _ state: inout State,
        _ names: [Data],
        _ lines: Data,
        _ db: Database
    ) throws {
        let entry = try db.cachedStatement(sql: "INSERT INTO plinth_entry VALUES (?, ?, ?, ?, ?, ?)")
        let place = try db.cachedStatement(sql: "INSERT INTO plinth_place VALUES (?, ?, ?, ?)")
        let time = Int64(Date.now.timeIntervalSince1970 * 1e9)
        var blocks: [Int64: (rows: Int64, bytes: Int64, checksum: Int64)] = [:]
        var new: Set<Int> = []
        for number in numbers {
            let index = number % names.count
            state.number += 1
            if state.topics[index].ordinal == 0 { new.insert(index) }
            state.topics[index].ordinal += 1
            let topics = topics(names[index], state.topics[index].ordinal)
            let bytes = Int64(topics.count + lines.count + 64)
            state.topics[index].sum += bytes
            // In place of a checksum: as many bytes.
            let checksum = state.number &* 0x1E37_79B9_7F4A_7C15
            try place.execute(
                arguments: [names[index], state.number, state.topics[index].ordinal, state.topics[index].sum]
            )
            try entry.execute(arguments: [state.number, time, 0, topics, checksum, lines])
            let block = blocks[state.number / 256] ?? (0, 0, 0)
            blocks[state.number / 256] = (block.rows + 1, block.bytes + bytes, block.checksum ^ checksum)
        }
        let upsert = try db.cachedStatement(
            sql: """
                INSERT INTO plinth_block VALUES (?, ?, ?, ?) ON CONFLICT (block) DO UPDATE SET
                    rows = rows + excluded.rows, bytes = bytes + excluded.bytes,
                    checksum = (checksum | excluded.checksum) & ~(checksum & excluded.checksum)
                """
        )
        for (number, block) in blocks {
            try upsert.execute(arguments: [number, block.rows, block.bytes, block.checksum])
        }
        guard !new.isEmpty else { return }
        let topic = try db.cachedStatement(sql: "INSERT INTO plinth_topic VALUES (?, ?, ?, ?, ?, ?)")
        for index in new {
            try topic.execute(arguments: [names[index], state.topics[index].ordinal, 0, 0, 0, 0x1E37_79B9_7F4A_7C15])
        }
    }

    /// The column `topics` of an event with one topic, as `StoredEntry` encodes it.
    private static func topics(_ name: Data, _ ordinal: Int64) -> Data {
        var data = Data(capacity: name.count + 12)
        data.append(1)
        data.append(UInt8(name.count))
        data.append(name)
        var rest = ordinal
        while rest >= 0x80 {
            data.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        data.append(UInt8(rest))
        return data
    }

    // MARK: - Reading

    /// Reads every column of the log; returns the rows, and their bytes so that nothing is left out.
    static func scan(_ pool: DatabasePool) throws -> (events: Int, bytes: Int) {
        try pool.read { db in
            try count(
                Row.fetchCursor(
                    db,
                    sql: "SELECT number, time, flags, topics, checksum, lines FROM plinth_entry ORDER BY number"
                )
            )
        }
    }

    /// Reads every column of a topic's events.
    static func scan(_ topic: String, _ pool: DatabasePool) throws -> (events: Int, bytes: Int) {
        try pool.read { db in
            try count(
                Row.fetchCursor(
                    db,
                    sql: """
                        SELECT e.number, e.time, e.flags, e.topics, e.checksum, e.lines FROM plinth_place AS p
                        JOIN plinth_entry AS e ON e.number = p.number WHERE p.topic = ? ORDER BY p.number
                        """,
                    arguments: [Data(topic.utf8)]
                )
            )
        }
    }

    private static func count(_ rows: RowCursor) throws -> (events: Int, bytes: Int) {
        var events = 0
        var bytes = 0
        var sum: Int64 = 0
        while let row = try rows.next() {
            let number: Int64 = row[0]
            let time: Int64 = row[1]
            let flags: Int64 = row[2]
            let topics: Data = row[3]
            let checksum: Int64 = row[4]
            let lines: Data = row[5]
            sum = sum &+ number &+ time &+ flags &+ checksum
            events += 1
            bytes += topics.count + lines.count
        }
        // Never so; keeps the sum.
        return sum == 42 ? (0, 0) : (events, bytes)
    }
}

func printVersion() throws {
    var report = Report()
    report["sqlite"] = try DatabaseQueue().read { try String.fetchOne($0, sql: "SELECT sqlite_version()") }
    try report.print()
}
