// SPDX-License-Identifier: Apache-2.0

import GRDB

/// An order: a row of the application's table, and the data of an event.
struct Order: Codable, Sendable, Equatable, FetchableRecord, PersistableRecord {
    /// How far an order has come.
    enum State: String, Codable, Sendable {
        case placed, shipped
    }

    static let databaseTableName = "orders"

    /// The order's number.
    var id: Int64
    /// What was ordered.
    var item: String
    /// How many of it.
    var quantity: Int
    /// How far the order has come.
    var state: State
    /// Counts the order's changes, so that an older event does not replace a newer state.
    var version: Int
}

/// What a client orders.
struct NewOrder: Codable, Sendable, PersistableRecord {
    static let databaseTableName = Order.databaseTableName

    /// The item.
    var item: String
    /// How many of it.
    var quantity: Int
}

/// The number of an item that are left.
struct Stock: Codable, FetchableRecord, PersistableRecord {
    static let databaseTableName = "stock"

    var item: String
    var left: Int
}
