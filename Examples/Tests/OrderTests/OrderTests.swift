// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import Plinth
import PlinthHub
import PlinthTesting
import Testing

@testable import OrderService

@Suite("The order service")
struct OrderTests {
    private let files = TemporaryDirectory()

    // MARK: - Commit and rollback

    @Test("An order's row and its event are committed together, whether it comes as JSON or as a form")
    func commits() async throws {
        try await withService { service, chain in
            let stream = try await chain.eventStream(for: .get("/hub/topics/orders"))
            let tea = try await chain.order(json: #"{"item": "tea", "quantity": 2}"#)
            let coffee = try await chain.order("coffee", 1)
            #expect(tea == Order(id: 1, item: "tea", quantity: 2, state: .placed, version: 1))
            #expect(coffee == Order(id: 2, item: "coffee", quantity: 1, state: .placed, version: 1))
            #expect(try await stream.nextOrder() == tea)
            #expect(try await stream.nextOrder() == coffee)
            #expect(try await service.rows() == [tea, coffee])
        }
    }

    @Test("Shipping an order changes its row and publishes its new state")
    func ships() async throws {
        try await withService { service, chain in
            let order = try await chain.order("tea", 2)
            let stream = try await chain.eventStream(for: .get("/hub/topics/orders?last-event-id=earliest"))
            let shipped = try await chain.ship(order.id)
            #expect(shipped == Order(id: order.id, item: "tea", quantity: 2, state: .shipped, version: 2))
            #expect(try await stream.nextOrder() == order)
            #expect(try await stream.nextOrder() == shipped)
            #expect(try await service.rows() == [shipped])
        }
    }

    @Test("An error after the insert and the publish takes both back, and nothing is delivered")
    func rollsBack() async throws {
        try await withService(stock: ["cake": 3]) { service, chain in
            let stream = try await chain.eventStream(for: .get("/hub/topics/orders"))
            let first = try await chain.order("cake", 2)
            let refused = try await chain.response(for: .order("cake", 2))
            #expect(refused.status == .conflict)
            #expect(refused.body == "not enough cake: 1 left\n")
            #expect(try await service.rows() == [first])
            let last = try await chain.order("cake", 1)
            #expect(try await stream.nextOrder() == first)
            #expect(try await stream.nextOrder() == last)
            #expect(try await service.rows() == [first, last])
            // Neither is it in history.
            let replay = try await chain.eventStream(for: .get("/hub/topics/orders?last-event-id=earliest"))
            #expect(try await replay.nextOrder() == first)
            #expect(try await replay.nextOrder() == last)
        }
    }

    @Test("Of many orders at once, those in stock are taken, and exactly these are delivered, in the order of commits")
    func competes() async throws {
        try await withService(stock: ["cake": 10, "tea": 1]) { service, chain in
            let stream = try await chain.eventStream(for: .get("/hub/topics/orders"))
            let statuses = try await withThrowingTaskGroup(of: HTTPResponse.Status.self) { group in
                for _ in 0..<25 { group.addTask { try await chain.response(for: .order("cake", 1)).status } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.count { $0 == .created } == 10)
            #expect(statuses.count { $0 == .conflict } == 15)
            let rows = try await service.rows()
            #expect(rows.map(\.id) == Array(1...10))
            let last = try await chain.order("tea", 1)
            for order in rows + [last] { #expect(try await stream.nextOrder() == order) }
        }
    }

    // MARK: - Refusals

    @Test("An invalid order is refused with a reason, and leaves neither a row nor an event")
    func refuses() async throws {
        try await withService { service, chain in
            let placed = try await chain.order("tea", 1)
            let shipped = try await chain.ship(placed.id)
            let json: HTTPFields = [.contentType: "application/json"]
            let cases: [(Request, HTTPResponse.Status, String)] = [
                (.order("tea", 0), .badRequest, "the quantity must be from 1 to 100"),
                (.order("tea", -1), .badRequest, "the quantity must be from 1 to 100"),
                (.order("tea", 101), .badRequest, "the quantity must be from 1 to 100"),
                (.order("m\"ilk", 1), .badRequest, #"there is no item "m\"ilk""#),
                (.post("/orders", headers: .form, body: "item=tea"), .badRequest, "an item and a quantity"),
                (.post("/orders", headers: .form, body: "item=tea&quantity=two"), .badRequest, "a quantity"),
                (.post("/orders", headers: json, body: #"{"item": "tea"}"#), .badRequest, "\"quantity\" is missing"),
                (.post("/orders", body: "item=tea&quantity=1"), .unsupportedMediaType, "a form or JSON"),
                (.post("/orders", headers: .form), .unsupportedMediaType, "a form or JSON"),
                (.post("/orders/7/ship"), .notFound, "there is no order 7"),
                (.post("/orders/99999999999999999999/ship"), .notFound, "there is no order 99999999999999999999"),
                (.post("/orders/\(shipped.id)/ship"), .conflict, "order 1 has already been shipped"),
                (.get("/orders/1/ship"), .methodNotAllowed, "POST"),
            ]
            for (request, status, reason) in cases {
                let response = try await chain.response(for: request)
                #expect(response.status == status)
                #expect(response.body.contains(reason), "\(response.body)")
            }
            #expect(try await service.rows() == [shipped])
            let last = try await chain.order("tea", 1)
            let stream = try await chain.eventStream(for: .get("/hub/topics/orders?last-event-id=earliest"))
            for order in [placed, shipped, last] { #expect(try await stream.nextOrder() == order) }
        }
    }

    @Test("Clients of the hub can subscribe to the orders, and do nothing else")
    func subscribersOnly() async throws {
        try await withService { service, chain in
            let requests: [Request] = [
                .post("/hub/topics/orders", body: "forged"),
                .post("/hub/topics/orders?end"),
                .post("/hub/topics?topic=orders", body: "forged"),
                .put("/hub/topics/orders", headers: [.contentType: "application/json"], body: #"{"events": 1}"#),
                .delete("/hub/topics/orders"),
                .get("/hub/topics/other"),
            ]
            for request in requests {
                #expect(try await chain.response(for: request).status == .forbidden, "\(request.path)")
            }
            for path in ["/hub", "/hub/", "/hub/status"] {
                #expect(try await chain.response(for: .get(path)).status == .notFound, "\(path)")
            }
            let order = try await chain.order("tea", 1)
            let stream = try await chain.eventStream(for: .get("/hub/topics/orders?last-event-id=earliest"))
            #expect(try await stream.nextOrder() == order)
        }
    }

    // MARK: - State and mark

    @Test("A state and the events after its mark make the later state, while orders are placed and shipped")
    func follows() async throws {
        try await withService { service, chain in
            async let changes: Void = {
                for _ in 0..<50 {
                    let order = try await chain.order("tea", 1)
                    if order.id.isMultiple(of: 2) { _ = try await chain.ship(order.id) }
                }
            }()
            // Each begins at another moment, since placing an order waits for the disk.
            var followers: [(state: OrderService.State, stream: TestEventStream)] = []
            for _ in 0..<10 {
                let state = try await chain.state()
                let stream = try await chain.eventStream(for: .get("/hub/topics/orders?last-event-id=\(state.mark)"))
                followers.append((state, stream))
            }
            try await changes
            let last = try await chain.order("coffee", 1)
            let end = try await chain.state().orders
            for (state, stream) in followers {
                var orders = Dictionary(uniqueKeysWithValues: state.orders.map { ($0.id, $0) })
                while orders[last.id] == nil {
                    let order = try await stream.nextOrder()
                    if order.version > orders[order.id]?.version ?? 0 { orders[order.id] = order }
                }
                #expect(orders.values.sorted { $0.id > $1.id } == end)
            }
        }
    }

    @Test("The state has the items, the latest 100 orders, and the mark that was read before them")
    func state() async throws {
        try await withService(stock: ["tea": 1000, "coffee": 1]) { service, chain in
            #expect(try await chain.state().orders.isEmpty)
            for _ in 0..<101 { _ = try await chain.order("tea", 1) }
            let response = try await chain.response(for: .get("/orders"))
            #expect(response.headers[.cacheControl] == "no-store")
            let state = try JSONDecoder().decode(OrderService.State.self, from: Data(response.bytes))
            #expect(state.items == ["coffee", "tea"])
            #expect(state.orders.map(\.id) == (2...101).reversed())
        }
    }

    // MARK: - Restart

    @Test("After a restart orders and events are there, and a client resumes after its last event")
    func restarts() async throws {
        var seen: [Order] = []
        var lastEventID = ""
        var mark = ""
        try await withService { service, chain in
            let stream = try await chain.eventStream(for: .get("/hub/topics/orders"))
            seen.append(try await chain.order("tea", 1))
            seen.append(try await chain.order("tea", 2))
            #expect(try await stream.nextOrder() == seen[0])
            #expect(try await stream.nextOrder() == seen[1])
            lastEventID = stream.lastEventID
            mark = try await chain.state().mark
            // The client does not receive this one.
            stream.leave()
            seen.append(try await chain.ship(1))
        }
        try await withService { service, chain in
            #expect(try await service.rows() == [seen[2], seen[1]])
            let resumed = try await chain.eventStream(
                for: .get("/hub/topics/orders?last-event-id=\(mark)", headers: [.lastEventID: lastEventID])
            )
            let late = try await chain.eventStream(for: .get("/hub/topics/orders?last-event-id=earliest"))
            let next = try await chain.order("coffee", 1)
            #expect(next.id == 3)
            #expect(try await resumed.nextOrder() == seen[2])
            #expect(try await resumed.nextOrder() == next)
            for order in seen + [next] { #expect(try await late.nextOrder() == order) }
            // The stock is not filled up again.
            #expect(try await service.left("tea") == 97)
        }
    }

    @Test("The page contains no inline script or style, so its policy allows it")
    func page() async throws {
        try await withService { service, chain in
            let response = try await chain.response(for: .get("/"))
            #expect(response.status == .ok)
            #expect(response.headers[.contentType] == "text/html; charset=utf-8")
            #expect(!response.body.contains("<style"))
            #expect(!response.body.contains("<script>"))
        }
    }

    // MARK: - Support

    /// Runs a service on the test's database.
    private func withService(
        stock: [String: Int] = ["tea": 100, "coffee": 100],
        _ body: (OrderService, Chain) async throws -> Void
    ) async throws {
        let service = try await OrderService(database: files.path + "/orders.sqlite", stock: stock)
        try await body(service, service.chain())
        try await service.close()
    }
}

/// A directory of one test, removed after it.
private final class TemporaryDirectory: Sendable {
    let path: String

    init() {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("orders-\(UUID().uuidString)").path
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

extension HTTPFields {
    fileprivate static let form: HTTPFields = [.contentType: "application/x-www-form-urlencoded"]
}

extension Request {
    fileprivate static func order(_ item: String, _ quantity: Int) -> Request {
        let item = item.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
        return .post("/orders", headers: .form, body: "item=\(item)&quantity=\(quantity)")
    }
}

extension Chain {
    fileprivate func order(_ item: String, _ quantity: Int) async throws -> Order {
        try await decode(Order.self, from: .order(item, quantity), .created)
    }

    fileprivate func order(json: String) async throws -> Order {
        try await decode(
            Order.self,
            from: .post("/orders", headers: [.contentType: "application/json"], body: json),
            .created
        )
    }

    fileprivate func ship(_ id: Int64) async throws -> Order {
        try await decode(Order.self, from: .post("/orders/\(id)/ship"), .ok)
    }

    fileprivate func state() async throws -> OrderService.State {
        try await decode(OrderService.State.self, from: .get("/orders"), .ok)
    }

    private func decode<Value: Decodable>(
        _ type: Value.Type,
        from request: Request,
        _ status: HTTPResponse.Status
    ) async throws -> Value {
        let response = try await response(for: request)
        #expect(response.status == status, "\(response.body)")
        return try JSONDecoder().decode(type, from: Data(response.bytes))
    }
}

extension TestEventStream {
    fileprivate func nextOrder() async throws -> Order {
        let event = try await expectEvent(type: "order")
        return try JSONDecoder().decode(Order.self, from: Data(event.data.utf8))
    }
}

extension OrderService {
    fileprivate func rows() async throws -> [Order] {
        try await database.read { try Order.order(Column("id")).fetchAll($0) }
    }

    fileprivate func left(_ item: String) async throws -> Int? {
        try await database.read { db in
            try Int.fetchOne(db, sql: "SELECT \"left\" FROM stock WHERE item = ?", arguments: [item])
        }
    }
}
