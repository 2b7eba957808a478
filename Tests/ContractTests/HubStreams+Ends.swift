// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthHub
import PlinthServer

extension HubStreams {
    private static let noServer = "there is no server"

    /// Leaves a stream, and checks that it is noticed.
    private static func leave(_ way: Way, _ leaving: Leaving) async throws {
        try await served(way) { served in
            try await served.publish("one")
            let target = "/topics/a?last-event-id=earliest"
            let client = try served.server.leaving(leaving, target, after: "data: one\n")
            try await served.ended(.clientClosed)
            try must(served.hub.subscriberCount == 0, "\(served.hub.subscriberCount) subscribers")
            try await client.finish()
        }
    }

    /// How a stream ends, and what the hub's observer learns of it.
    static let endRows: [ContractRow] = [
        ContractRow("a client that takes nothing for the write timeout is timed out") { way in
            let data = String(repeating: "x", count: 1_000_000)
            let options = StreamOptions(heartbeat: nil, writeTimeout: .milliseconds(200))
            try await served(way, options: options) { served in
                let client = try await served.server.client("/topics/a")
                _ = try await client.body(until: ":\n")
                client.stall()
                for _ in 0..<16 { try await served.publish(data) }
                try await client.asTimePasses { try await served.ended(.timedOut) }
                try must(served.hub.subscriberCount == 0, "\(served.hub.subscriberCount) subscribers")
                client.leave()
            }
        },
        ContractRow("a client that reads slowly is not timed out") { way in
            let data = String(repeating: "x", count: 1_000_000)
            let options = StreamOptions(heartbeat: nil, writeTimeout: ContractServer.slowReading / 2)
            try await served(way, options: options) { served in
                let target = "/topics/a?last-event-id=earliest"
                async let reading: Void = served.server.readSlowly(target, until: "data: last\n")
                for _ in 0..<15 { try await served.publish(data) }
                try await served.publish("last")
                try await reading
            }
        },
        ContractRow("it is completed at its maximum age") { way in
            let options = StreamOptions(heartbeat: nil, maximumAge: .milliseconds(100))
            try await served(way, options: options) { served in
                let client = try await served.server.client("/topics/a")
                let isComplete = try await client.end().isComplete
                try must(isComplete, "an incomplete body")
                try await served.ended(.expired)
            }
        },
        ContractRow("a client that leaves is reported once, and no longer counted") { way in
            try await served(way) { served in
                let client = try await served.server.client("/topics/a")
                _ = try await client.body(until: ":\n")
                client.leave()
                try await served.ended(.clientClosed)
                try must(served.hub.subscriberCount == 0, "\(served.hub.subscriberCount) subscribers")
            }
        },
        ContractRow(
            "a client that resets the connection or its HTTP/2 stream has left",
            except: [.process: ContractServer.noConnection]
        ) { way in
            for leaving in way.resets { try await leave(way, leaving) }
        },
        ContractRow(
            "a client that closes only its sending side has left",
            except: [.process: ContractServer.noConnection]
        ) { way in
            try await leave(way, .halfClose)
        },
        ContractRow("`endStreams` completes it") { way in
            try await served(way) { served in
                let client = try await served.server.client("/topics/a", lastEventID: "earliest")
                // A client may see the opening before `endStreams` reaches the stream, but not an event.
                try await served.publish("one")
                _ = try await client.body(until: "data: one\n")
                served.service.endStreams { _ in true }
                let isComplete = try await client.end().isComplete
                try must(isComplete, "an incomplete body")
                try await served.ended(.ended)
            }
        },
        ContractRow("a shutdown completes it, after a reconnection time", except: [.process: noServer]) {
            way in
            try await served(way) { served in
                try await served.publish("one")
                let client = try await served.server.client("/topics/a", lastEventID: "earliest")
                _ = try await client.body(until: "data: one\n")
                try await served.server.shutDown()
                let (body, isComplete) = try await client.end()
                try must(isComplete && body.hasSuffix("retry: 2000\n\n"), body)
                try await served.ended(.serverDraining)
            }
        },
    ]
}

#endif
