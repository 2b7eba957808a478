// SPDX-License-Identifier: Apache-2.0

import GRDB
import PlinthSQLite

/// Opens the application's database, with its own tables and those of the hub's history.
///
/// - Parameters:
///   - path: The path of the file, which is created if there is none.
///   - stock: The items of a new database, and how many there are of each.
/// - Returns: The database.
/// - Throws: The database's error.
func openDatabase(_ path: String, stock: [String: Int]) throws -> DatabasePool {
    let database = try DatabasePool(path: path)
    var migrator = DatabaseMigrator()
    SQLiteHistory.registerMigrations(in: &migrator)
    migrator.registerMigration("orders") { db in
        try db.create(table: "orders") { table in
            table.autoIncrementedPrimaryKey("id")
            table.column("item", .text).notNull()
            table.column("quantity", .integer).notNull()
            table.column("state", .text).notNull().defaults(to: Order.State.placed.rawValue)
            table.column("version", .integer).notNull().defaults(to: 1)
        }
        try db.create(table: "stock") { table in
            table.primaryKey("item", .text)
            table.column("left", .integer).notNull()
        }
        for (item, left) in stock { try Stock(item: item, left: left).insert(db) }
    }
    try migrator.migrate(database)
    // A pool commits without waiting for the disk: a power cut would lose the last orders, each with its event.
    try database.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
    return database
}
