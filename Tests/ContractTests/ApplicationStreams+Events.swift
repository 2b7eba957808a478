// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth

extension ApplicationStreams {
    /// What a client receives: the head, the opening, events, heartbeats and errors.
    static let eventRows: [ContractRow] = [
        ContractRow("the head has the status and fields of an event stream") { way in
            try await stream(way, ready: forever) { _, client, _ in
                let (status, fields) = try await client.head()
                try must(status == 200, "\(status)")
                try must(fields["content-type"] == "text/event-stream; charset=UTF-8", "\(fields)")
                try must(fields["cache-control"] == "no-cache, no-transform", "\(fields)")
                try must(fields["x-accel-buffering"] == "no", "\(fields)")
            }
        },
        ContractRow("it opens at once with a comment") { way in
            try await stream(way, ready: forever) { _, client, _ in
                let body = try await client.body(until: ":\n")
                try must(body == ":\n", body)
            }
        },
        ContractRow("events arrive whole and in order, and the body is completed") { way in
            let ready: @Sendable (EventChannel) async throws -> Void = { events in
                for number in 0..<100 { await events.send("\(number)\nof 100") }
            }
            try await stream(way, ready: ready) { _, client, ends in
                let (body, isComplete) = try await client.end()
                try must(isComplete, "an incomplete body")
                let events = (0..<100).map { "data: \($0)\ndata: of 100\n\n" }.joined()
                try must(body == ":\n" + events, body)
                try await ended(ends, .applicationClosed)
            }
        },
        ContractRow("large events arrive whole") { way in
            let data = String(repeating: "x", count: 1_000_000)
            let ready: @Sendable (EventChannel) async throws -> Void = { events in
                for _ in 0..<5 { await events.send(data) }
            }
            try await stream(way, ready: ready) { _, client, ends in
                let (body, isComplete) = try await client.end()
                try must(isComplete && body.utf8.count == 2 + 5 * (6 + data.utf8.count + 2), "\(body.utf8.count)")
                try await ended(ends, .applicationClosed)
            }
        },
        ContractRow("heartbeats are comments, events, or none") { way in
            let beat = Heartbeat.event(ServerSentEvent(type: "beat", data: "x"), every: .milliseconds(20))
            try await stream(way, options: .init(heartbeat: beat), ready: forever) { _, client, _ in
                _ = try await client.body(until: "event: beat\ndata: x\n\nevent: beat\ndata: x\n\n")
            }
            let comment = EventStreamOptions(heartbeat: .every(.milliseconds(20)))
            try await stream(way, options: comment, ready: forever) { _, client, _ in
                _ = try await client.body(until: ":\n:\n:\n")
            }
            try await stream(way, ready: { await $0.send("x") }) { _, client, _ in
                let body = try await client.end().body
                try must(body == ":\ndata: x\n\n", body)
            }
        },
        ContractRow("if the stream opens with its first event, an earlier error is a status") { way in
            let options = EventStreamOptions(heartbeat: .off, opens: .withFirstEvent)
            try await stream(way, options: options, ready: { _ in throw HTTPError(.badGateway, "no model") }) {
                _,
                client,
                ends in
                let status = try await client.head().status
                try must(status == 502, "\(status)")
                try await ended(ends, .applicationFailed)
            }
        },
        ContractRow("an error after the first event ends the stream and is not sent") { way in
            let ready: @Sendable (EventChannel) async throws -> Void = { events in
                await events.send("one")
                throw Mishap()
            }
            try await stream(way, ready: ready) { _, client, ends in
                let body = try await client.end().body
                try must(body == ":\ndata: one\n\n", body)
                try await ended(ends, .applicationFailed)
            }
        },
        ContractRow("`onError` turns an error into a last event") { way in
            let options = EventStreamOptions(heartbeat: .off, onError: { _ in ServerSentEvent(data: "sorry") })
            let ready: @Sendable (EventChannel) async throws -> Void = { events in
                await events.send("one")
                throw Mishap()
            }
            try await stream(way, options: options, ready: ready) { _, client, ends in
                let (body, isComplete) = try await client.end()
                try must(isComplete && body == ":\ndata: one\n\ndata: sorry\n\n", body)
                try await ended(ends, .applicationFailed)
            }
        },
        ContractRow(
            "HEAD gets only the head",
            except: [.memory: "its client requests only streams"]
        ) { way in
            try await stream(way, method: "HEAD", ready: forever) { _, client, _ in
                let (status, fields) = try await client.head()
                try must(
                    status == 200 && fields["content-type"]?.hasPrefix("text/event-stream") == true,
                    "\(fields)"
                )
                let body = try await client.end().body
                try must(body.isEmpty, body)
            }
        },
    ]
}

#endif
