// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthHub
import PlinthServer
import PlinthTestSupport

/// The contract of a hub's stream, for every way to serve it.
enum HubStreams {
    static let table = ContractTable(rows: eventRows + gapRows + endRows, ways: Way.ofHubs)

    private final class Ends: HubObserver {
        let begun = Recorder<Void>()
        let recorder = Recorder<StreamEnd>()

        func streamBegan(_ stream: HubStream) { begun.record() }
        func streamEnded(_ stream: HubStream, _ end: StreamEnd) { recorder.record(end) }
    }

    /// A served hub, and the recorded ends of its streams.
    struct Served {
        let server: ContractServer
        let service: HubService
        let ends: Recorder<StreamEnd>

        var hub: Hub { service.hub }

        func publish(_ data: String, to topic: String = "a") async throws {
            _ = try await hub.publish(ServerSentEvent(data: data), to: Topic(topic))
        }

        /// Waits for the first end of a stream.
        func ended(_ end: StreamEnd) async throws {
            let found = try await ends.first()
            try must(found == [end], "\(found)")
        }
    }

    /// Serves a hub while `check` runs; every client must have left by the end, and its end been reported once.
    static func served(
        _ way: Way,
        events: Int = .max,
        topic: HistoryLimits = .defaultOfTopic,
        options: StreamOptions = StreamOptions(heartbeat: nil, retry: .seconds(2)...(.seconds(2))),
        check: (Served) async throws -> Void
    ) async throws {
        let ends = Ends()
        let history = MemoryHistory(topic: topic, total: HistoryLimits(events: events))
        let hub = try await Hub(history: history, options: options, observer: ends)
        let service = HubService(hub, configuration: .init(handOff: way.handOff, reactors: 1))
        let routes = try Routes(HubEndpoints(service).routes())
        try await ContractServer.run(way, routes.router, hub: service) { server in
            try await check(Served(server: server, service: service, ends: ends.recorder))
        }
        try must(hub.subscriberCount == 0, "\(hub.subscriberCount) subscribers")
        let found = ends.recorder.values
        try must(found.count == ends.begun.values.count, "\(ends.begun.values.count) streams, and the ends \(found)")
    }
}

#endif
