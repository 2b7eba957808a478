// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthTestSupport

extension ApplicationStreams {
    /// 64 KiB: a stalled client's connection takes far fewer than 200 events of it.
    private static let large = String(repeating: "x", count: 64 << 10)

    private static func event(_ number: Int) -> ServerSentEvent { ServerSentEvent(data: "\(number) \(large)") }

    /// The numbers of the events in a body.
    private static func numbers(_ body: String) -> [Int] {
        body.utf8.split(separator: UInt8(ascii: "\n")).compactMap { line in
            guard line.starts(with: "data: ".utf8) else { return nil }
            return Int(String(decoding: line.dropFirst(6).prefix { $0 != UInt8(ascii: " ") }, as: UTF8.self))
        }
    }

    /// Offers 200 events to a buffer while the client is stalled, and returns the numbers of those that arrive later.
    private static func offer(_ way: Way, _ buffer: EventBufferPolicy) async throws -> [Int] {
        let isStalled = Recorder<Void>()
        let results = Recorder<[OfferResult]>()
        let ready: @Sendable (EventChannel) async throws -> Void = { events in
            try await isStalled.first()
            results.record((0..<200).map { events.offer(event($0)) })
        }
        var received: [Int] = []
        let options = EventStreamOptions(heartbeat: .off, buffer: buffer)
        try await stream(way, options: options, ready: ready) { _, client, ends in
            _ = try await client.body(until: ":\n")
            client.stall()
            isStalled.record()
            let offered = try await results.first()[0]
            try must(offered.allSatisfy { $0 == .accepted }, "\(offered)")
            client.resume()
            let (body, isComplete) = try await client.end()
            received = numbers(body)
            try must(isComplete && received.count < 200, "\(received)")
            try must(zip(received, received.dropFirst()).allSatisfy { $0 < $1 }, "\(received)")
            try await ended(ends, .applicationClosed)
        }
        return received
    }

    /// What becomes of events that a client does not take.
    static let bufferRows: [ContractRow] = [
        ContractRow("a full `bounded` buffer refuses `offer`, makes `send` wait, and loses nothing") { way in
            let isStalled = Recorder<Void>()
            let filled = Recorder<Int>()
            let ready: @Sendable (EventChannel) async throws -> Void = { events in
                try await isStalled.first()
                var count = 0
                while events.offer(event(count)) == .accepted { count += 1 }
                filled.record(count)
                for number in count..<count + 100 { await events.send(event(number)) }
            }
            let options = EventStreamOptions(heartbeat: .off, buffer: .bounded(2))
            try await stream(way, options: options, ready: ready) { _, client, ends in
                _ = try await client.body(until: ":\n")
                client.stall()
                isStalled.record()
                let count = try await filled.first()[0]
                client.resume()
                let (body, isComplete) = try await client.end()
                let received = numbers(body)
                try must(isComplete && received == Array(0..<count + 100), "\(received)")
                try await ended(ends, .applicationClosed)
            }
        },
        ContractRow("`dropNewest` keeps the first events for a stalled client") { way in
            let received = try await offer(way, .dropNewest(3))
            try must(received.starts(with: [0, 1, 2]), "\(received)")
        },
        ContractRow("`dropOldest` keeps the last events for a stalled client") { way in
            let received = try await offer(way, .dropOldest(3))
            try must(received.suffix(3) == [197, 198, 199], "\(received)")
        },
        ContractRow("`disconnect` ends the stream of a stalled client as lagged") { way in
            let isStalled = Recorder<Void>()
            let results = Recorder<OfferResult>()
            let ready: @Sendable (EventChannel) async throws -> Void = { events in
                try await isStalled.first()
                while await events.send(large) {}
                results.record(events.offer("late"))
            }
            let options = EventStreamOptions(heartbeat: .off, buffer: .disconnect(3), writeTimeout: nil)
            try await stream(way, options: options, ready: ready) { _, client, ends in
                _ = try await client.body(until: ":\n")
                client.stall()
                isStalled.record()
                let result = try await results.first()[0]
                try must(result == .closed, "\(result)")
                try await ended(ends, .lagged)
            }
        },
        ContractRow("a client that takes nothing for the write timeout is timed out") { way in
            let isStalled = Recorder<Void>()
            let ends = Recorder<StreamEnd>()
            let ready: @Sendable (EventChannel) async throws -> Void = { events in
                try await isStalled.first()
                while await events.send(large) {}
                try await forever(events)
            }
            let options = EventStreamOptions(heartbeat: .off, writeTimeout: .milliseconds(200))
            try await stream(way, ends: ends, options: options, ready: ready) { _, client, ends in
                _ = try await client.body(until: ":\n")
                client.stall()
                isStalled.record()
                try await client.asTimePasses { try await ended(ends, .timedOut) }
            }
        },
        ContractRow("a client that reads slowly is not timed out") { way in
            let ends = Recorder<StreamEnd>()
            let ready: @Sendable (EventChannel) async throws -> Void = { events in
                for number in 0..<240 { await events.send(event(number)) }
                await events.send("last")
            }
            let options = EventStreamOptions(heartbeat: .off, writeTimeout: ContractServer.slowReading / 2)
            try await serve(way, ends: ends, options: options, ready: ready) { server in
                do {
                    try await server.readSlowly(until: "data: last\n\n")
                } catch {
                    throw Breach(description: "\(error); ends: \(ends.values)")
                }
            }
        },
    ]
}

#endif
