// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthHub

extension HubStreams {
    /// Resuming, and what a client learns of events that it cannot get.
    static let gapRows: [ContractRow] = [
        ContractRow("it resumes after the client's last event ID") { way in
            try await served(way) { served in
                try await served.publish("one")
                let id = try await served.hub.publish(ServerSentEvent(data: "two"), to: Topic("a"))
                try await served.publish("three")
                let client = try await served.server.client("/topics/a", lastEventID: id.description)
                let body = try await client.body(until: "data: three\n")
                try must(!body.contains("data: two") && !body.contains("event: gap"), body)
                client.leave()
            }
        },
        ContractRow("a gap event precedes the events held if older ones are missing") { way in
            try await served(way, events: 3) { served in
                let id = try await served.hub.publish(ServerSentEvent(data: "one"), to: Topic("a"))
                for number in 2...9 { try await served.publish("\(number)") }
                let client = try await served.server.client("/topics/a", lastEventID: id.description)
                let body = try await client.body(until: "data: 9\n")
                let lines = body.split(separator: "\n").filter { $0.hasPrefix("event: ") || $0.hasPrefix("data: ") }
                try must(lines.first == "event: gap" && lines.count == 5, body)
                try must(lines.dropFirst(2).elementsEqual(["data: 7", "data: 8", "data: 9"]), body)
                client.leave()
            }
        },
        ContractRow("events purged while a client is behind are reported as a gap") { way in
            let data = String(repeating: "x", count: 1 << 20)
            try await served(way, topic: HistoryLimits()) { served in
                let client = try await served.server.client("/topics/a")
                _ = try await client.body(until: ":\n")
                client.stall()
                // More than the connection and the queue of its thread hold: the client must read some from history.
                for _ in 0..<40 { try await served.publish(data) }
                let count = try await served.hub.purge(Topic("a"))
                try must(count == 40, "\(count) events purged")
                try await served.publish("last")
                client.resume()
                let body = try await client.body(until: "data: last\n")
                try must(body.contains("event: gap\n"), "no gap in \(body.utf8.count) bytes")
                client.leave()
            }
        },
        ContractRow("with the gap policy `close`, a gap completes it") { way in
            let options = StreamOptions(heartbeat: nil, gapPolicy: .close)
            try await served(way, events: 3, options: options) { served in
                let id = try await served.hub.publish(ServerSentEvent(data: "one"), to: Topic("a"))
                for number in 2...9 { try await served.publish("\(number)") }
                let client = try await served.server.client("/topics/a", lastEventID: id.description)
                let (body, isComplete) = try await client.end()
                try must(isComplete && !body.contains("data: "), body)
                try await served.ended(.lagged)
            }
        },
    ]
}

#endif
