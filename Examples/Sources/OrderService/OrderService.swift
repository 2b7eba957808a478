// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import HTTPTypes
public import Plinth
import PlinthEvents
import PlinthHub
import PlinthSQLite
public import PlinthServer

/// A service that takes orders and publishes their changes.
///
/// A row and its event are committed in one transaction of the application's database: no order without its event, no
/// event of an order that does not exist, whatever fails in between.
public struct OrderService: Sendable {
    /// The application's database.
    let database: DatabasePool
    /// The hub, whose history is in the same database.
    let hub: Hub
    /// Serves the hub's streams; runs alongside the connector.
    public let streams: HubService
    /// The topic of all orders.
    let topic: Topic
    private let history: SQLiteHistory

    /// Opens the database and the hub.
    ///
    /// - Parameters:
    ///   - path: The path of the database, which is created if there is none.
    ///   - stock: The items of a new database, and how many there are of each. Default: some of each.
    /// - Throws: The error of the database or of its history.
    public init(database path: String, stock: [String: Int] = ["coffee": 100, "tea": 100, "cake": 3]) async throws {
        database = try openDatabase(path, stock: stock)
        history = SQLiteHistory(database)
        hub = try await Hub(history: history)
        streams = HubService(hub)
        topic = try Topic("orders")
    }

    /// Closes the history and the database.
    public func close() async throws {
        await history.close()
        try database.close()
    }

    // MARK: - The application

    /// Places an order.
    ///
    /// - Returns: The order, once it and its event are committed.
    /// - Throws: ``/Plinth/HTTPError`` if it is refused.
    func place(_ new: NewOrder) async throws -> Order {
        guard (1...100).contains(new.quantity) else {
            throw HTTPError(.badRequest, "the quantity must be from 1 to 100")
        }
        return try await database.write { db in
            let order = try new.insertAndFetch(db, as: Order.self)
            try hub.publish(ServerSentEvent(json: order, type: "order"), to: topic, in: db)
            // Comes last to show that its error takes back the row and the event.
            try take(order.quantity, of: order.item, db)
            return order
        }
    }

    /// Ships an order.
    ///
    /// - Returns: The order, once its change and its event are committed.
    /// - Throws: ``/Plinth/HTTPError`` if it is refused.
    func ship(_ id: Int64) async throws -> Order {
        try await database.write { db in
            guard var order = try Order.fetchOne(db, key: id) else {
                throw HTTPError(.notFound, "there is no order \(id)")
            }
            guard order.state == .placed else {
                throw HTTPError(.conflict, "order \(id) has already been shipped")
            }
            order.state = .shipped
            order.version += 1
            try order.update(db)
            try hub.publish(ServerSentEvent(json: order, type: "order"), to: topic, in: db)
            return order
        }
    }

    /// Takes items out of the stock.
    private func take(_ quantity: Int, of item: String, _ db: Database) throws {
        guard var stock = try Stock.fetchOne(db, key: item) else {
            throw HTTPError(.badRequest, "there is no item \(item.debugDescription)")
        }
        guard quantity <= stock.left else {
            throw HTTPError(.conflict, "not enough \(item): \(stock.left) left")
        }
        stock.left -= quantity
        try stock.update(db)
    }

    /// What a page shows, and where it begins to follow.
    struct State: Codable, Sendable {
        /// The ID after which to subscribe.
        var mark: String
        /// The latest orders, the newest first.
        var orders: [Order]
        /// The items that can be ordered.
        var items: [String]
    }

    /// The latest 100 orders and the hub's mark.
    func state() async throws -> State {
        // The mark comes first: what is committed after it is delivered, whether or not the state has it.
        let mark = hub.mark()
        return try await database.read { db in
            State(
                mark: mark.description,
                orders: try Order.order(Column("id").desc).limit(100).fetchAll(db),
                items: try Stock.order(Column("item")).fetchAll(db).map(\.item)
            )
        }
    }

    // MARK: - HTTP

    /// The page, the requests for orders, and the stream of their changes.
    public func chain() throws -> Chain {
        let routes = try Routes {
            Route.get("/orders") { _ in try json(await state()) }
            Route.post("/orders", interceptors: [.bodyParameters(limit: 4096)]) { request in
                try json(await place(newOrder(request)), status: .created)
            }
            Route.post("/orders/:id/ship", constraints: ["id": .digits]) { request in
                let id = try request.pathParameters.require("id")
                guard let id = Int64(id) else { throw HTTPError(.notFound, "there is no order \(id)") }
                return try json(await ship(id))
            }
            // Neither the hub's own page nor its status.
            HubEndpoints(streams, authorizer: Subscribers(topic: topic)).routes("/hub")
                .filter { $0.path.hasPrefix("/hub/topics") }
        }
        return try Chain.default(routes) { stack in
            stack.staticResources = [try .staticResources(Bundle.module.bundlePath + "/Public")]
            // Listening on loopback does not keep out pages of other sites.
            stack.interceptors = [.loopbackFence()]
        }
    }

    /// The order in the body, which is a form or JSON.
    private func newOrder(_ request: Request) async throws -> NewOrder {
        let form = request.formParameters
        guard !form.isEmpty else {
            do {
                return try await request.decode(NewOrder.self, upTo: 4096)
            } catch let error as HTTPError where error.status == .unsupportedMediaType {
                throw HTTPError(.unsupportedMediaType, "an order is a form or JSON with an item and a quantity")
            }
        }
        guard let item = form["item"], let quantity = form["quantity"].flatMap({ Int($0) }) else {
            throw HTTPError(.badRequest, "the form must contain an item and a quantity")
        }
        return NewOrder(item: item, quantity: quantity)
    }

    private func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        let text = String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
        var response = Response.text(text, status: status, contentType: "application/json")
        response.headers[.cacheControl] = "no-store"
        return response
    }
}

/// Lets clients subscribe to one topic, and nothing else: only the service publishes.
struct Subscribers: HubAuthorizer {
    let topic: Topic

    func grantNow(for request: Request) throws -> HubGrant? {
        HubGrant(subject: "everybody", subscribe: [.exact(topic)])
    }
}
