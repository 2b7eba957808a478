// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Foundation
import GRDB
import PlinthHub

/// A row of `plinth_revocation`.
enum StoredRevocation {
    private static let columns = "name, issuer, time, hold, until, checksum"

    /// Adds a revocation, in place of one of the same name and issuer.
    static func write(_ revocation: HubRevocation, _ db: Database) throws {
        let (name, issuer) = (Array(revocation.name.utf8), encode(revocation.issuer))
        let times = [revocation.time, revocation.newTokensHold, revocation.isKeptUntil].map(nanoseconds)
        try Command("INSERT OR REPLACE INTO plinth_revocation VALUES (?, ?, ?, ?, ?, ?)", db).bind(
            .bytes(name),
            .bytes(issuer),
            .number(times[0]),
            .number(times[1]),
            .number(times[2]),
            .number(RowChecksum.of([name, issuer], times.map(UInt64.init(bitPattern:))))
        ).run()
    }

    /// Deletes revocations that are no longer kept, the oldest first and as many as `limit` at most.
    ///
    /// A damaged row stays: its time says nothing.
    static func deleteOld(_ now: Date, limit: Int, _ db: Database) throws {
        var old: [(name: [UInt8], issuer: [UInt8])] = []
        try Command("SELECT \(columns) FROM plinth_revocation WHERE until <= ? ORDER BY until LIMIT ?", db)
            .bind(.number(nanoseconds(now)), .number(limit)).forEach { row in
                if isIntact(row) { old.append((Array(row.bytes(0)), Array(row.bytes(1)))) }
                return true
            }
        for (name, issuer) in old {
            try Command("DELETE FROM plinth_revocation WHERE name = ? AND issuer = ?", db)
                .bind(.bytes(name), .bytes(issuer)).run()
        }
    }

    /// All revocations.
    ///
    /// - Parameters:
    ///   - path: The path of the file, for the message.
    ///   - db: The database.
    /// - Returns: The revocations.
    /// - Throws: ``SQLiteHistoryError`` with the code `damaged` if one of them is damaged or missing.
    static func all(_ path: String, _ db: Database) throws -> [HubRevocation] {
        var all: [HubRevocation] = []
        do {
            // Rows that are missing show as well: SQLite compares the table with its index.
            let problem = try String.fetchOne(db, sql: "PRAGMA integrity_check(plinth_revocation)")
            if let problem, problem != "ok" { throw damaged(path, problem) }
            try Command("SELECT \(columns) FROM plinth_revocation", db).forEach { row in
                guard isIntact(row) else { throw damaged(path, "a row is not as it was written") }
                all.append(
                    HubRevocation(
                        name: String(decoding: row.bytes(0), as: UTF8.self),
                        issuer: decode(row.bytes(1)),
                        time: date(row.number(2)),
                        newTokensHold: date(row.number(3)),
                        isKeptUntil: date(row.number(4))
                    )
                )
                return true
            }
        } catch let error as DatabaseError where error.isDamage {
            throw damaged(path, error.message ?? error.resultCode.description)
        }
        return all
    }

    /// Calls a closure with each row's name, and whether the row is as it was written.
    static func forEach(_ db: Database, _ body: (_ name: String, _ isIntact: Bool) throws -> Void) throws {
        try Command("SELECT \(columns) FROM plinth_revocation", db).forEach { row in
            try body(String(decoding: row.bytes(0), as: UTF8.self), isIntact(row))
            return true
        }
    }

    private static func isIntact(_ row: Command.Row) -> Bool {
        row.unsigned(5) == RowChecksum.of([Array(row.bytes(0)), Array(row.bytes(1))], (2...4).map { row.unsigned($0) })
    }

    private static func damaged(_ path: String, _ reason: String) -> SQLiteHistoryError {
        SQLiteHistoryError(
            .damaged,
            "a revocation in \(path) is damaged (\(reason)), and a revoked subject could get in again: restore a copy; or "
                + "make sure of it otherwise, such as by a new key for tokens, and empty the table plinth_revocation"
        )
    }

    // MARK: - Columns

    /// An issuer as a column; empty for every issuer.
    private static func encode(_ issuer: String?) -> [UInt8] {
        guard let issuer else { return [] }
        var writer = ByteWriter()
        writer.write(issuer.utf8)
        return writer.bytes
    }

    private static func decode(_ bytes: UnsafeRawBufferPointer) -> String? {
        var reader = ByteReader(bytes)
        return reader.string().map { String(decoding: $0, as: UTF8.self) }
    }

    /// A time in nanoseconds since 1970; one that they cannot count, after 2262, is their last.
    private static func nanoseconds(_ time: Date) -> Int64 {
        let nanoseconds = (time.timeIntervalSince1970 * 1e9).rounded()
        return Int64(exactly: nanoseconds) ?? (nanoseconds < 0 ? .min : .max)
    }

    private static func date(_ nanoseconds: Int64) -> Date {
        Date(timeIntervalSince1970: Double(nanoseconds) / 1e9)
    }
}
#endif
