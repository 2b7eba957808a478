// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthTestSupport

extension ApplicationStreams {
    /// The ends that neither the application chooses nor a client that leaves causes.
    private static func ends(_ way: Way) -> [StreamEnd] {
        [.timedOut, .lagged, .expired] + (way.hasSocket ? [.serverDraining] : [])
    }

    /// Ends a stream for a reason, and waits for the cancellation of its ready function.
    private static func cancel(_ way: Way, _ end: StreamEnd) async throws {
        let isStalled = Recorder<Void>()
        let cancelled = Recorder<Void>()
        let ends = Recorder<StreamEnd>()
        let stalls = end == .timedOut || end == .lagged
        let options = EventStreamOptions(
            heartbeat: .off,
            buffer: end == .lagged ? .disconnect(2) : .bounded(2),
            // A stream that ends before its ready function has started does not call it.
            opens: .withFirstEvent,
            writeTimeout: end == .timedOut ? .milliseconds(200) : nil,
            maximumAge: end == .expired ? .milliseconds(100) : nil
        )
        let ready: @Sendable (EventChannel) async throws -> Void = { events in
            await events.send("one")
            if stalls {
                try await isStalled.first()
                let large = String(repeating: "x", count: 64 << 10)
                while await events.send(large) {}
            }
            do { try await forever(events) } catch { cancelled.record() }
        }
        try await stream(way, ends: ends, options: options, ready: ready) { server, client, ends in
            _ = try await client.body(until: "data: one\n\n")
            if stalls { client.stall() }
            isStalled.record()
            if end == .serverDraining { try await server.shutDown() }
            try await client.asTimePasses { try await cancelled.first() }
            client.resume()
            try await ended(ends, end)
        }
    }

    /// Leaves a stream, and checks that it is noticed.
    private static func leave(_ way: Way, _ leaving: Leaving) async throws {
        let isOpen = Recorder<Bool>()
        let ends = Recorder<StreamEnd>()
        let ready: @Sendable (EventChannel) async throws -> Void = { events in
            await events.send("one")
            do { try await untilCancelled() } catch { isOpen.record(await events.send("late")) }
        }
        try await serve(way, ends: ends, ready: ready) { server in
            let client = try server.leaving(leaving, after: "data: one\n\n")
            let found = try await isOpen.first()
            try must(found == [false], "an open channel")
            try await ended(ends, .clientClosed)
            try await client.finish()
        }
    }

    /// How a stream ends, and what the application learns of it.
    static let endRows: [ContractRow] = [
        ContractRow("it is completed at its maximum age, after the events sent") { way in
            // Opens with its event, so that its age counts from there, however busy the machine is.
            let options = EventStreamOptions(
                heartbeat: .off,
                opens: .withFirstEvent,
                maximumAge: .milliseconds(100)
            )
            let ready: @Sendable (EventChannel) async throws -> Void = { events in
                await events.send("one")
                try await forever(events)
            }
            try await stream(way, options: options, ready: ready) { _, client, ends in
                let (body, isComplete) = try await client.end()
                try must(isComplete && body == "data: one\n\n", body)
                try await ended(ends, .expired)
            }
        },
        ContractRow("a client that leaves cancels the ready function and is reported once") { way in
            let cancelled = Recorder<Void>()
            let ends = Recorder<StreamEnd>()
            let ready: @Sendable (EventChannel) async throws -> Void = { events in
                await events.send("one")
                do { try await forever(events) } catch { cancelled.record() }
            }
            try await stream(way, ends: ends, ready: ready) { _, client, ends in
                _ = try await client.body(until: "data: one\n\n")
                client.leave()
                try await cancelled.first()
                try await ended(ends, .clientClosed)
            }
        },
        ContractRow("a ready function that closes the stream when cancelled does not change the reason of its end") {
            way in
            let ready: @Sendable (EventChannel) async throws -> Void = { events in
                await events.send("one")
                await withTaskCancellationHandler {
                    try? await untilCancelled()
                } onCancel: {
                    events.close()
                }
            }
            try await stream(way, ready: ready) { _, client, ends in
                _ = try await client.body(until: "data: one\n\n")
                client.leave()
                try await ended(ends, .clientClosed)
            }
        },
        ContractRow("a stream returned for two requests ends on both, and only the first client gets its events") {
            way in
            let ends = Recorder<StreamEnd>()
            let options = EventStreamOptions(heartbeat: .off)
            let shared = EventStream(options: options, lifetime: .open, onDisconnect: { ends.record($0) }) { events in
                await events.send("one")
            }
            let route = Interceptor.handler("shared") { _ in .eventStream(shared) }
            try await ContractServer.run(way, route) { server in
                let first = try await server.client()
                _ = try await first.body(until: "data: one\n\n")
                first.stall()
                // Until the buffer is full, beyond what the connection takes.
                let large = String(repeating: "x", count: 200_000)
                var count = 0
                while shared.channel.offer(large) == .accepted { count += 1 }
                let second = try await server.client()
                let late = try await second.end().body
                try must(late.isEmpty, late)
                first.resume()
                let body = try await first.end().body
                let found = body.split(separator: "\n").filter { $0.hasPrefix("data: x") }.count
                try must(found == count, "\(found) of \(count) events")
                try await ended(ends, .applicationFailed)
                first.leave()
                second.leave()
            }
        },
        ContractRow(
            "a client that resets the connection or its HTTP/2 stream has left",
            except: [.memory: ContractServer.noConnection]
        ) { way in
            for leaving in way.resets { try await leave(way, leaving) }
        },
        ContractRow(
            "a client that closes only its sending side has left",
            except: [.memory: ContractServer.noConnection]
        ) { way in
            try await leave(way, .halfClose)
        },
        ContractRow("the ready function is cancelled at any other end that the application did not choose") { way in
            for end in ends(way) { try await cancel(way, end) }
        },
        ContractRow("the ready function is not cancelled if the application closes the stream") { way in
            let hasEnded = Recorder<Void>()
            let isCancelled = Recorder<Bool>()
            let ready: @Sendable (EventChannel) async throws -> Void = { events in
                events.close(after: ServerSentEvent(data: "last"))
                try await hasEnded.first()
                isCancelled.record(Task.isCancelled)
            }
            try await stream(way, ready: ready) { _, client, ends in
                let (body, isComplete) = try await client.end()
                try must(isComplete && body == ":\ndata: last\n\n", body)
                try await ended(ends, .applicationClosed)
                hasEnded.record()
                let found = try await isCancelled.first()
                try must(found == [false], "a cancelled task")
            }
        },
        ContractRow("the end of an open-ended stream is reported once, after its ready function has returned") { way in
            let ends = Recorder<StreamEnd>()
            let unreported = Recorder<Bool>()
            let ready: @Sendable (EventChannel) async throws -> Void = { events in
                await events.send("one")
                do {
                    try await untilCancelled()
                } catch {
                    // Time for an early report.
                    for _ in 0..<1000 { await Task.yield() }
                    unreported.record(ends.values.isEmpty)
                }
            }
            try await serve(way, ends: ends, lifetime: .open, ready: ready) { server in
                let client = try await server.client()
                _ = try await client.body(until: "data: one\n\n")
                client.leave()
                try await ended(ends, .clientClosed)
                try must(unreported.values == [true], "\(unreported.values)")
            }
        },
        ContractRow("a shutdown completes it", except: [.memory: "there is no server"]) { way in
            let ready: @Sendable (EventChannel) async throws -> Void = { events in
                await events.send("one")
                try await forever(events)
            }
            try await stream(way, ready: ready) { server, client, ends in
                _ = try await client.body(until: "data: one\n\n")
                try await server.shutDown()
                let (body, isComplete) = try await client.end()
                try must(isComplete && body == ":\ndata: one\n\n", body)
                try await ended(ends, .serverDraining)
            }
        },
    ]
}

#endif
