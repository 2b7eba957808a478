// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import NIOHTTP1
import PlinthClient
import PlinthStreams

/// Publishes events to a topic of a hub over HTTP.
final class HubPublisher {
    /// A single event, and what the request asks for besides.
    struct Single {
        var data: [UInt8]
        var type: String?
        /// In milliseconds.
        var retry: String?
        /// The idempotency key.
        var key: String?
        /// Whether the topic ends after the event; without data it only ends.
        var ends = false
    }

    /// The hub's answer to a single event.
    struct Published {
        /// The event's ID; empty if the server reports none.
        var id = ""
        /// Whether the hub had taken it before.
        var isRepeated = false
    }

    /// Why events were not acknowledged.
    struct Failure: Error {
        let kind: HubRequests.Failure.Kind
        /// The number of events that the hub accepted nevertheless.
        var accepted = 0
        /// The ID of the last accepted event.
        var lastID: String?
        /// The `code` beside the hub's error.
        var code: String?
        /// Whether the server refused the token after it accepted some events, and the token file holds another one.
        var hasNewToken = false
        let reason: String

        /// Whether the event after the accepted ones has a type that the hub reserves.
        var isReserved: Bool { code == "type-reserved" }
        /// Whether the topic takes no more events.
        var isEnded: Bool { code == "topic-ended" }
        /// Whether the same request may succeed later; if it was not answered, that may publish its events twice.
        var isWorthRepeating: Bool { kind != .refused || code == "not-taken" || hasNewToken }

        /// The exit status of a run that ends for this reason.
        var status: Int32 {
            switch code {
            case "topic-ended": 6
            case "producer-fenced": 7
            default: 1
            }
        }
    }

    private let url: String
    private let requests: HubRequests
    /// Receives messages for the user.
    private let note: (String) -> Void

    /// - Parameters:
    ///   - url: The URL of the topic, optionally with a user name and a password.
    ///   - options: The request options.
    ///   - timeout: The maximum time for a complete response.
    ///   - note: Receives messages for the user.
    init(url: String, options: RequestOptions, timeout: Duration, note: @escaping (String) -> Void) {
        self.url = url
        requests = HubRequests(options: options, timeout: timeout, note: note)
        self.note = note
    }

    /// Repeats a publish that the hub has not refused, with pauses from 100 ms to 5 s.
    ///
    /// - Parameters:
    ///   - time: How long to repeat it; zero for once.
    ///   - publish: Publishes.
    /// - Returns: What `publish` returns.
    /// - Throws: Its last ``Failure``; at once, if it accepted some of the events.
    func retrying<Result>(for time: Duration, _ publish: () async throws -> Result) async throws -> Result {
        let deadline = ContinuousClock.now + time
        var wait = Duration.milliseconds(100)
        while true {
            do {
                return try await publish()
            } catch let failure as Failure {
                guard failure.isWorthRepeating, failure.accepted == 0, ContinuousClock.now + wait < deadline else {
                    throw failure
                }
                note("\(failure.reason); retrying in \(wait.wholeMilliseconds) ms")
                // Backs off while the server restarts.
                try await Task.sleep(for: wait)
                wait = min(wait * 2, .seconds(5))
            }
        }
    }

    /// Closes the connections.
    func close() async { await requests.close() }

    /// Publishes one event.
    ///
    /// - Parameter event: The event.
    /// - Returns: Its ID, or that of the topic's end.
    /// - Throws: ``Failure``; `ValidationError` for invalid options.
    func publish(_ event: Single) async throws -> Published {
        var query = [("type", event.type), ("retry", event.retry)].compactMap { name, value in
            value.map { "\(name)=\(PercentEncoding.encode($0))" }
        }
        if event.ends { query.append("end") }
        let (answer, report) = try await send(
            query.joined(separator: "&"),
            event.data,
            contentType: "text/plain; charset=utf-8",
            fields: event.key.map { [("Idempotency-Key", $0)] } ?? []
        )
        return Published(
            id: report.id ?? "",
            isRepeated: answer.headers.first(name: "Idempotent-Replayed") == "true"
                || report.count == 0 && report.repeated ?? 0 > 0
        )
    }

    /// Publishes a batch as an event stream.
    ///
    /// - Parameters:
    ///   - batch: The events.
    ///   - stamp: The producer's number of the first event; nil if the events have none.
    /// - Returns: The ID of the last event; empty if the server reports none.
    /// - Throws: ``Failure``; `ValidationError` for invalid options.
    func publish(_ batch: EventLines.Batch, _ stamp: ProducerStamp? = nil) async throws -> String {
        let (_, report) = try await send(
            "",
            batch.bytes,
            contentType: "text/event-stream",
            fields: stamp?.fields ?? [],
            count: batch.count
        )
        // Only a producer's events can be in the hub already.
        let count = stamp == nil ? report.count : report.accepted(of: batch.count)
        guard count ?? batch.count == batch.count else {
            throw Failure(
                kind: .refused,
                accepted: min(max(count ?? 0, 0), batch.count),
                lastID: report.id,
                reason: "the server acknowledged \(count ?? 0) of \(batch.count) events"
            )
        }
        return report.id ?? ""
    }

    /// Ends the topic.
    ///
    /// - Parameter stamp: The producer's number of the end; nil if it has none.
    /// - Returns: The ID of the end, and whether the topic had ended before.
    /// - Throws: ``Failure``; `ValidationError` for invalid options.
    func end(_ stamp: ProducerStamp? = nil) async throws -> Published {
        let (_, report) = try await send("end", [], contentType: "text/plain", fields: stamp?.fields ?? [])
        return Published(id: report.id ?? "", isRepeated: report.count == 0)
    }

    /// What the hub knows of a producer in the topic.
    ///
    /// - Parameter producer: The producer's ID.
    /// - Returns: Its state; nil if the hub knows nothing of it.
    /// - Throws: ``Failure``, also if the server is no hub that knows producers.
    func state(of producer: String) async throws -> ProducerState? {
        let answer = try await perform(
            HubRequests.Request(method: .HEAD, url: url, fields: [("Producer-ID", producer)])
        )
        guard answer.isSuccess else {
            throw Failure(
                kind: .refused,
                reason: "the server answered \(answer.title) to a HEAD for the producer's state"
            )
        }
        guard answer.headers.contains(name: "Last-Event-ID") else {
            throw Failure(
                kind: .refused,
                reason:
                    "the server answered a HEAD without a Last-Event-ID: it is no hub that numbers producers' events"
            )
        }
        let texts = ["Producer-Epoch", "Producer-Sequence"].map { answer.headers.first(name: $0) }
        if texts == [nil, nil] { return nil }
        guard let epoch = texts[0].flatMap(ProducerStamp.number), let last = texts[1].flatMap(ProducerStamp.number)
        else {
            throw Failure(kind: .refused, reason: "the server answered a HEAD with an invalid producer's state")
        }
        return ProducerState(epoch: epoch, last: last)
    }

    // MARK: - Requests

    private func send(
        _ query: String,
        _ body: [UInt8],
        contentType: String,
        fields: [(String, String)],
        count: Int = 1
    ) async throws -> (HTTPExchange.Answer, HubReport) {
        let answer = try await perform(
            HubRequests.Request(
                method: .POST,
                url: url,
                query: query,
                fields: [("Content-Type", contentType)] + fields,
                body: body
            )
        )
        let report = HubReport(answer)
        guard !answer.isSuccess else { return (answer, report) }
        let accepted = report.accepted(of: count)
        throw Failure(
            // The hub could not find out, either.
            kind: report.code == "outcome-unknown" ? .unanswered : .refused,
            accepted: accepted,
            // Of a topic that has ended, it is the ID of the end.
            lastID: accepted > 0 ? report.id : nil,
            code: report.code,
            // Without accepted events the request was sent again already.
            hasNewToken: answer.status == .unauthorized && accepted > 0 && requests.isTokenRenewed,
            reason: answer.refusal(report)
        )
    }

    private func perform(_ request: HubRequests.Request) async throws -> HTTPExchange.Answer {
        do {
            return try await requests.perform(request)
        } catch let failure as HubRequests.Failure {
            throw Failure(kind: failure.kind, reason: failure.reason)
        }
    }
}

extension ProducerStamp {
    fileprivate var fields: [(String, String)] {
        [("Producer-ID", producer), ("Producer-Epoch", "\(epoch)"), ("Producer-Sequence", "\(sequence)")]
    }
}
#endif
