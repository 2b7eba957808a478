// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import HTTPTypes
import NIOCore
import PlinthClient

// The code of the articles of PlinthClient.

func printPrices() async throws {
    let source = EventSource("https://example.org/prices")
    for try await event in source {
        print(event.type, event.data)
    }
}

func printAnswer(to request: HTTPClientRequest) async throws {
    let response = try await HTTPClient.shared.execute(request, timeout: .seconds(30))
    for try await event in response.body.events(until: .data("[DONE]")) {
        print(event.data)
    }
}

func freshToken() async throws -> String { "token" }

func configured() -> EventSource {
    var configuration = EventSourceConfiguration()
    configuration.retryableStatuses = EventSourceConfiguration.transientStatuses
    configuration.idleTimeout = .seconds(30)
    configuration.headerProvider = { [.authorization: "Bearer \(try await freshToken())"] }
    let source = EventSource("https://example.org/orders", configuration: configuration)
    return source
}

func printMessages(of source: EventSource) async throws {
    for try await message in source.messages {
        switch message {
        case .opened(let head): print("open:", head.url)
        case .event(let event): print(event.data)
        case .comment(let text): print("comment:", text)
        case .disconnected(let error, let delay): print("\(error.code); the next attempt is in \(delay)")
        }
    }
}

func resume(
    loadID: () throws -> String,
    process: (EventSource.Event) async throws -> Void,
    saveID: (String) throws -> Void
) async throws {
    var configuration = EventSourceConfiguration()
    configuration.lastEventID = try loadID()
    let source = EventSource("https://example.org/orders", configuration: configuration)
    for try await event in source {
        try await process(event)
        try saveID(event.lastEventID)
    }
}

struct Quote: Decodable {
    var symbol: String
    var amount: Double
}

func printDecoded(from source: EventSource) async throws {
    for try await quote in source.decode(Quote.self, ofType: "quote") {
        print(quote.symbol, quote.amount)
    }
}

func throughProxy() -> EventSource {
    var client = AsyncHTTPClientTransport.configuration
    client.proxy = .server(host: "proxy.example.org", port: 3128)
    let transport = AsyncHTTPClientTransport(configuration: client)
    let source = EventSource("https://example.org/prices", transport: transport)
    return source
}

// A hub.

func printUpdates() async throws {
    let source = EventSource("https://example.org/topics?topic=orders&topic=prices")
    for try await update in source.hubUpdates {
        switch update {
        case .event(let event): print(event.topic ?? "", event.type, event.data)
        case .gap(let gap): print("events are missing after \(gap.requested ?? "the beginning")")
        case .end(let topic): print("\(topic) has ended")
        }
    }
}

func renamed() -> EventSourceConfiguration {
    var configuration = EventSourceConfiguration()
    configuration.hub = EventSourceHub(gapType: "lost", heartbeatEvent: "beat")
    return configuration
}

struct Order: Decodable {
    var number: Int
    var status: String
}

struct Orders: Decodable {
    var mark: String
    var open: [Order]
}

@MainActor
final class OrderModel {
    private var orders: [Int: Order] = [:]

    func replaceAll(_ open: [Order]) {
        orders = [:]
        for order in open { orders[order.number] = order }
    }

    func apply(_ order: Order) {
        orders[order.number] = order
    }
}

@MainActor
func follow(
    in model: OrderModel,
    fetchOrders: @escaping @Sendable () async throws -> Orders,
    decode: (String) throws -> Order
) async throws {
    let source = EventSource("https://example.org/topics/orders")
    let updates = source.following {
        // The server reads the hub's mark first, then the orders.
        let answer = try await fetchOrders()
        return (answer.open, mark: answer.mark)
    }
    for try await update in updates {
        switch update {
        case .state(let open): model.replaceAll(open)
        case .event(let event): model.apply(try decode(event.data))
        case .end(let topic): print("\(topic) has ended")
        }
    }
}
