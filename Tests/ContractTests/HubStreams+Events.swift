// SPDX-License-Identifier: Apache-2.0

#if Server

import Foundation
import Plinth
import PlinthHub

extension HubStreams {
    /// What a client receives: the head, the opening, events and heartbeats.
    static let eventRows: [ContractRow] = [
        ContractRow("the head has the status and fields of an event stream") { way in
            try await served(way) { served in
                let client = try await served.server.client("/topics/a")
                let (status, fields) = try await client.head()
                try must(status == 200, "\(status)")
                try must(fields["content-type"] == "text/event-stream; charset=UTF-8", "\(fields)")
                try must(fields["cache-control"] == "no-cache, no-transform", "\(fields)")
                client.leave()
            }
        },
        ContractRow("it opens at once with a comment and a reconnection time") { way in
            try await served(way) { served in
                let client = try await served.server.client("/topics/a")
                let body = try await client.body(until: "retry: 2000\n")
                try must(body.hasPrefix(":\n"), body)
                client.leave()
            }
        },
        ContractRow("events held and published later arrive once each, in order") { way in
            try await served(way) { served in
                for number in 0..<50 { try await served.publish("\(number)") }
                let client = try await served.server.client("/topics/a", lastEventID: "earliest")
                for number in 50..<100 { try await served.publish("\(number)") }
                let body = try await client.body(until: "data: 99\n")
                let data = body.split(separator: "\n").filter { $0.hasPrefix("data: ") }
                try must(data == (0..<100).map { "data: \($0)" }, "\(data)")
                client.leave()
            }
        },
        ContractRow("large events arrive whole, even beside a stalled client") { way in
            let data = String(repeating: "x", count: 1_000_000)
            try await served(way) { served in
                let stalled = try await served.server.client("/topics/a")
                _ = try await stalled.body(until: ":\n")
                stalled.stall()
                let client = try await served.server.client("/topics/a", lastEventID: "earliest")
                _ = try await client.body(until: ":\n")
                for _ in 0..<8 { try await served.publish(data) }
                try await served.publish("last")
                let body = try await client.body(until: "data: last\n")
                let lines = body.split(separator: "\n").filter { $0.hasPrefix("data: x") }
                try must(lines.count == 8 && lines.allSatisfy { $0.utf8.count == 1_000_006 }, "\(lines.count)")
                try must(served.hub.subscriberCount == 2, "\(served.hub.subscriberCount) subscribers")
                client.leave()
                stalled.leave()
            }
        },
        ContractRow("with several topics, each event's ID has its topic appended") { way in
            try await served(way) { served in
                try await served.publish("1", to: "a")
                try await served.publish("2", to: "b/c")
                let client = try await served.server.client("/topics?topic=a&match=b/*", lastEventID: "earliest")
                let body = try await client.body(until: "\tb/c\n")
                try must(body.contains("\ta\n"), body)
                client.leave()
            }
        },
        ContractRow("heartbeats are comments, or events without an ID") { way in
            let comments = StreamOptions(heartbeat: .milliseconds(20))
            try await served(way, options: comments) { served in
                let client = try await served.server.client("/topics/a")
                _ = try await client.body(until: "\n:\n:\n")
                client.leave()
            }
            let events = StreamOptions(heartbeat: .milliseconds(20), heartbeatEvent: "beat")
            try await served(way, options: events) { served in
                let client = try await served.server.client("/topics/a")
                // The exact bytes, twice: no ID.
                var beat: [UInt8] = []
                ServerSentEvent(type: "beat", data: "").encode(into: &beat)
                let text = String(decoding: beat, as: UTF8.self)
                _ = try await client.body(until: text + text)
                client.leave()
            }
        },
    ]
}

#endif
