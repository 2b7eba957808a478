// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import PlinthClient
import PlinthTestSupport
import Synchronization

/// A server without a socket: gives each request the next answer of a script, and records the requests.
final class ScriptedTransport: EventSourceTransport {
    enum Answer: Sendable {
        /// A head, and a body that ends after these chunks.
        case response(Int, [String: String] = [:], [String] = [])
        /// A head, and a body that stays open after these chunks.
        case unfinished(Int, [String: String], [String])
        /// An event stream that ends after these chunks.
        case stream([String])
        /// An event stream that stays open after these chunks.
        case open([String])
        /// An event stream whose chunks come from a sequence.
        case live(AsyncStream<[UInt8]>)
        /// No answer, ever.
        case silence
        /// No connection.
        case failure
        /// No connection, with a cause.
        case unreachable(EventSourceTransportError)
        /// A permanent error.
        case refusal(EventSourceError)
    }

    struct Failure: Error {}

    let requests = Recorder<EventSourceRequest>()
    /// The last event ID of each request.
    var lastEventIDs: [String?] {
        requests.values.map { request in HTTPField.Name("Last-Event-ID").flatMap { request.headerFields[$0] } }
    }
    /// The numbers of released bodies.
    let closed = Recorder<Int>()
    private let answers: Mutex<[Answer]>

    init(_ answers: [Answer]) {
        self.answers = Mutex(answers)
    }

    func send(_ request: EventSourceRequest) async throws -> EventSourceResponse {
        let number = requests.values.count
        requests.record(request)
        let answer = answers.withLock { answers -> Answer in
            answers.isEmpty ? .silence : answers.removeFirst()
        }
        switch answer {
        case .response(let status, let fields, let chunks):
            return response(status, fields, Body(chunks, number, closed))
        case .unfinished(let status, let fields, let chunks):
            return response(status, fields, Body(chunks, staysOpen: true, number, closed))
        case .stream(let chunks):
            return response(200, ["Content-Type": "text/event-stream"], Body(chunks, number, closed))
        case .open(let chunks):
            return response(200, ["Content-Type": "text/event-stream"], Body(chunks, staysOpen: true, number, closed))
        case .live(let chunks):
            var head = EventSourceResponseHead(status: 200)
            head.headerFields[.contentType] = "text/event-stream"
            return EventSourceResponse(head: head, body: chunks)
        case .silence:
            // Until it is cancelled.
            try await untilCancelled()
            throw Failure()
        case .failure:
            throw Failure()
        case .unreachable(let error):
            throw error
        case .refusal(let error):
            throw error
        }
    }

    private func response(_ status: Int, _ fields: [String: String], _ body: Body) -> EventSourceResponse {
        var head = EventSourceResponseHead(status: status)
        for (name, value) in fields {
            if let name = HTTPField.Name(name) { head.headerFields[name] = value }
        }
        return EventSourceResponse(head: head, body: body)
    }

    private final class Body: EventSourceResponseBody {
        private var chunks: [[UInt8]]
        private let staysOpen: Bool
        private let number: Int
        private let closed: Recorder<Int>

        init(_ chunks: [String], staysOpen: Bool = false, _ number: Int, _ closed: Recorder<Int>) {
            self.chunks = chunks.map { Array($0.utf8) }
            self.staysOpen = staysOpen
            self.number = number
            self.closed = closed
        }

        deinit {
            closed.record(number)
        }

        func next(_ use: (Span<UInt8>) -> Void) async throws -> Bool {
            if chunks.isEmpty {
                guard staysOpen else { return false }
                // Until it is cancelled.
                try await untilCancelled()
                return false
            }
            let chunk = chunks.removeFirst()
            use(chunk.span)
            return true
        }
    }
}

extension EventSourceConfiguration {
    /// The HTML standard's rules without a back-off, with a test's clock.
    static func plain(_ clock: any Clock<Duration>) -> EventSourceConfiguration {
        var configuration = EventSourceConfiguration()
        configuration.backoff = .none
        configuration.clock = clock
        return configuration
    }
}
