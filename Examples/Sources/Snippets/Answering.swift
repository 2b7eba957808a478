// SPDX-License-Identifier: Apache-2.0

// The code of the article "Answering with an event stream".

import Plinth
import Synchronization

struct Price: Encodable {
    var symbol: String
    var cents: Int
}

/// Stands for an application's type.
protocol Market: Sendable {
    func prices() -> AsyncStream<Price>
    func price(of symbol: String) async throws -> Price
}

func closure(_ market: any Market) -> Interceptor {
    .eventStream("price") { events, context in
        let symbol = try context.request.pathParameters.require("symbol")
        while true {
            let price = try await market.price(of: symbol)
            guard try await events.send(price, type: "price") else { return }
            try await Task.sleep(for: .seconds(1))
        }
    }
}

func sequence(_ market: any Market) -> Interceptor {
    .eventStream("prices") { context in market.prices() }
}

func handler(_ market: any Market) -> Route {
    Route.get(
        "/prices",
        eventStreamHandler { events, request in
            for await price in market.prices() {
                guard try await events.send(price) else { return }
            }
        }
    )
}

final class Announcements: Sendable {
    private let channels = Mutex<[ObjectIdentifier: EventChannel]>([:])

    var interceptor: Interceptor {
        Interceptor(
            "announcements",
            enter: { context in
                try await context.startEventStream { events in self.add(events) }
            }
        )
    }

    func announce(_ text: String) {
        let event = ServerSentEvent(data: text)
        channels.withLock { channels in
            // Removes closed channels. A client without room misses this event.
            channels = channels.filter { $0.value.offer(event) != .closed }
        }
    }

    private func add(_ events: EventChannel) {
        channels.withLock { $0[ObjectIdentifier(events)] = events }
    }
}
