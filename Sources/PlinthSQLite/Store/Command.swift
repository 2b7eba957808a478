// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import GRDBSQLite

/// A prepared statement, run by SQLite's own functions: GRDB's bindings and rows cost several times as much.
///
/// GRDB prepares, caches and finalizes it. It is used on the connection's queue alone, within one access.
struct Command {
    private let statement: Statement
    private let database: Database
    private var raw: OpaquePointer { statement.sqliteStatement }

    init(_ sql: String, _ database: Database) throws {
        statement = try database.cachedStatement(sql: sql)
        self.database = database
        sqlite3_reset(statement.sqliteStatement)
    }

    // MARK: - Binding

    /// Binds values from the first parameter on.
    func bind(_ values: Value...) -> Command {
        for (index, value) in values.enumerated() {
            let place = Int32(index + 1)
            switch value {
            case .number(let number): bind(place, number)
            case .bytes(let bytes): bind(place, bytes)
            case .null: sqlite3_bind_null(raw, place)
            }
        }
        return self
    }

    func bind(_ place: Int32, _ number: Int64) { sqlite3_bind_int64(raw, place, number) }

    func bind(_ place: Int32, _ number: UInt64) { bind(place, Int64(bitPattern: number)) }

    func bind(_ place: Int32, _ bytes: [UInt8]) { bytes.withUnsafeBytes { bind(place, $0) } }

    /// Binds bytes, which SQLite copies.
    func bind(_ place: Int32, _ bytes: UnsafeRawBufferPointer) {
        // Without an address SQLite would bind NULL.
        guard let start = bytes.baseAddress else {
            sqlite3_bind_zeroblob(raw, place, 0)
            return
        }
        sqlite3_bind_blob64(raw, place, start, UInt64(bytes.count), Self.copies)
    }

    enum Value {
        case number(Int64)
        case bytes([UInt8])
        case null

        static func number(_ number: UInt64) -> Value { .number(Int64(bitPattern: number)) }
        static func number(_ number: Int) -> Value { .number(Int64(number)) }
    }

    /// SQLITE_TRANSIENT.
    private static let copies = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    // MARK: - Running

    /// Runs a statement that returns no rows.
    func run() throws {
        defer { sqlite3_reset(raw) }
        while try step() {}
    }

    /// Whether there is another row.
    func step() throws -> Bool {
        switch sqlite3_step(raw) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        case let code:
            let message = String(cString: sqlite3_errmsg(database.sqliteConnection))
            let sql = statement.sql
            sqlite3_reset(raw)
            throw DatabaseError(resultCode: ResultCode(rawValue: code), message: message, sql: sql)
        }
    }

    /// Calls a closure with each row, for as long as it returns true.
    func forEach(_ body: (Row) throws -> Bool) throws {
        defer { sqlite3_reset(raw) }
        while try step() {
            guard try body(Row(statement: raw)) else { return }
        }
    }

    /// Calls a closure with each row, which returns whether the row is as it was written.
    ///
    /// - Returns: The number of damaged rows.
    func countDamaged(_ body: (Row) -> Bool) throws -> Int {
        var damaged = 0
        try forEach { row in
            if !body(row) { damaged += 1 }
            return true
        }
        return damaged
    }

    /// The first row's value; nil without rows.
    func first<Result>(_ body: (Row) throws -> Result) throws -> Result? {
        defer { sqlite3_reset(raw) }
        return try step() ? body(Row(statement: raw)) : nil
    }

    /// The last value that a closure returns before it returns nil, or the rows end.
    func last<Result>(_ body: (Row) -> Result?) throws -> Result? {
        var last: Result?
        try forEach { row in
            guard let value = body(row) else { return false }
            last = value
            return true
        }
        return last
    }

    /// The current row; its bytes are valid until the next step.
    struct Row {
        fileprivate let statement: OpaquePointer

        func number(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }
        func unsigned(_ column: Int32) -> UInt64 { UInt64(bitPattern: number(column)) }
        func isNull(_ column: Int32) -> Bool { sqlite3_column_type(statement, column) == SQLITE_NULL }

        func bytes(_ column: Int32) -> UnsafeRawBufferPointer {
            let start = sqlite3_column_blob(statement, column)
            return UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column)))
        }
    }
}
#endif
