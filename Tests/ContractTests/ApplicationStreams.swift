// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthTestSupport

/// The contract of an application's stream, for every way to serve it.
enum ApplicationStreams {
    struct Mishap: Error {}

    static let table = ContractTable(rows: eventRows + bufferRows + endRows, ways: Way.ofApplications)

    /// Serves a stream, and passes its server, a client and its recorded ends to `check`.
    static func stream(
        _ way: Way,
        ends: Recorder<StreamEnd> = Recorder(),
        options: EventStreamOptions = EventStreamOptions(heartbeat: .off),
        method: String = "GET",
        ready: @escaping @Sendable (EventChannel) async throws -> Void,
        check: (ContractServer, any ContractClient, Recorder<StreamEnd>) async throws -> Void
    ) async throws {
        try await serve(way, ends: ends, options: options, ready: ready) { server in
            let client = try await server.client(method: method)
            try await check(server, client, ends)
            client.leave()
        }
    }

    /// Serves a stream while `check` runs, whose client must have left by the end.
    ///
    /// `ends` records the stream's end, of which there may be only one.
    static func serve(
        _ way: Way,
        ends: Recorder<StreamEnd>,
        options: EventStreamOptions = EventStreamOptions(heartbeat: .off),
        lifetime: EventStream.Lifetime = .scoped,
        ready: @escaping @Sendable (EventChannel) async throws -> Void,
        check: (ContractServer) async throws -> Void
    ) async throws {
        let route =
            if lifetime == .scoped {
                Interceptor.eventStream("stream", options: options, onDisconnect: { ends.record($0) }) { events, _ in
                    try await ready(events)
                }
            } else {
                Interceptor(
                    "stream",
                    enter: { context in
                        try await context.startEventStream(
                            options: options,
                            lifetime: lifetime,
                            onDisconnect: { ends.record($0) },
                            ready
                        )
                    }
                )
            }
        try await ContractServer.run(way, route, check)
        try must(ends.values.count <= 1, "\(ends.values)")
    }

    /// Sends nothing until cancelled.
    @Sendable static func forever(_ events: EventChannel) async throws {
        try await untilCancelled()
    }

    /// Waits for a stream's end.
    static func ended(_ ends: Recorder<StreamEnd>, _ end: StreamEnd) async throws {
        let found = try await ends.first()
        try must(found == [end], "\(found)")
    }
}

#endif
