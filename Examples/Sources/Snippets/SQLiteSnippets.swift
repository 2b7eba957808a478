// SPDX-License-Identifier: Apache-2.0

import GRDB
import PlinthEvents
import PlinthHub
import PlinthSQLite

/// The code of the article "PlinthSQLite": a history in a file of its own.
func openDurableHub() async throws -> Hub {
    let history = SQLiteHistory(path: "hub.sqlite")
    let hub = try await Hub(history: history)
    return hub
}

/// The code of the article "PlinthSQLite": a history in the application's own database.
func publishWithARow() async throws {
    struct Order: Codable, PersistableRecord {
        var item: String
    }

    let pool = try DatabasePool(path: "shop.sqlite")
    var migrator = DatabaseMigrator()
    migrator.registerMigration("orders") { db in
        try db.create(table: "order") { table in table.column("item", .text) }
    }
    SQLiteHistory.registerMigrations(in: &migrator)
    try migrator.migrate(pool)

    let hub = try await Hub(history: SQLiteHistory(pool))
    let orders = try Topic("orders")

    let order = Order(item: "tea")
    let event = ServerSentEvent(data: order.item)
    try await pool.write { db in
        try order.insert(db)
        try hub.publish(event, to: orders, in: db)
    }
}
