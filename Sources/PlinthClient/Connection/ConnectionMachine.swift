// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import PlinthEvents
import PlinthStreams

/// The state machine of an event source, without a socket or a clock.
///
/// The HTML standard, sections [9.2.2 and 9.2.3](https://html.spec.whatwg.org/multipage/server-sent-events.html#the-eventsource-interface),
/// and the Fetch standard's rules for redirects. Each input returns the next action.
struct ConnectionMachine: Sendable {
    enum Action: Sendable {
        /// Send the request; a redirect continues the same attempt.
        case connect(EventSourceRequest)
        /// The response is an event stream: read it.
        case read(EventSourceResponseHead)
        /// The connection or attempt has ended: start another attempt after the delay.
        case wait(Duration, EventSourceError)
        /// Stop permanently: with an error, or without one after a 204.
        case stop(EventSourceError?)
        /// Stop permanently: all topics of the hub's stream have ended.
        case end
        /// Drop the connection at a gap: ``gap(at:)`` decides when to read the application's state.
        case gap
        /// Let the reader read the application's state after the delay, and continue after its mark.
        ///
        /// The error is that of a gap which counts as a failure.
        case askForState(Duration, EventSourceError?)

        /// Whether it takes precedence over a restart that the reader requests at the same time.
        var isDecided: Bool {
            switch self {
            case .stop, .end, .askForState: true
            case .connect, .read, .wait, .gap: false
            }
        }
    }

    /// The maximum number of redirects per attempt, as in the Fetch standard.
    static let maximumRedirects = 20

    private static let redirectStatuses: Set<Int> = [301, 302, 303, 307, 308]

    let configuration: EventSourceConfiguration
    let reading: Reading
    private let original: HTTPAddress
    private var collector: EventCollector
    /// The reconnection time last set by the stream before the mark.
    private var earlierReconnectionTime: Duration?

    /// Where the next attempt starts, after earlier redirects.
    private var start: Target

    // State of the attempt.
    private var headerFields: HTTPFields = [:]
    private var redirects = 0
    private(set) var target: Target

    // State of the connection.
    private(set) var openedAt: Duration?
    private var hasEvent = false
    /// The topic of the hub's `end`, while no other event has followed it.
    var ended: String?

    /// Whether the hub had what follows the mark: an event has come without a gap, or a stream was open for a while.
    var isPastMark = false

    /// The number of consecutive failures.
    var failures = 0

    /// Where a request goes.
    struct Target: Sendable {
        var address: HTTPAddress
        var method: HTTPRequest.Method
        var body: [UInt8]?
        /// Whether a redirect led to another origin.
        ///
        /// Credentials are then withheld, even from the first origin: the other origin chose the URL.
        var hasLeftOrigin = false
    }

    init(
        address: HTTPAddress,
        configuration: EventSourceConfiguration,
        lastEventID: String,
        reading: Reading = .events
    ) {
        self.configuration = configuration
        self.reading = reading
        original = address
        start = Target(address: address, method: configuration.method, body: configuration.body)
        target = start
        collector = Self.collector(configuration, reading, after: lastEventID)
    }

    private static func collector(
        _ configuration: EventSourceConfiguration,
        _ reading: Reading,
        after lastEventID: String
    ) -> EventCollector {
        EventCollector(
            lastEventID: lastEventID,
            maximumEventSize: configuration.maximumEventSize,
            includesComments: configuration.includesComments,
            splitsTopic: reading.isOfHub
        )
    }

    /// The last event ID committed by the stream.
    var lastEventID: String { collector.lastEventID }

    /// The current reconnection time: the stream's, up to the maximum, or the configured one.
    var reconnectionTime: Duration {
        guard let asked = collector.reconnectionTime ?? earlierReconnectionTime else {
            return max(configuration.reconnectionTime, .zero)
        }
        return max(min(asked, configuration.maximumReconnectionTime), .zero)
    }

    // MARK: - Attempts

    /// Starts an attempt, with the header provider's fields.
    mutating func connect(adding provided: HTTPFields = [:]) -> Action {
        headerFields = configuration.headerFields
        for name in Set(provided.map(\.name)) { headerFields[values: name] = provided[values: name] }
        redirects = 0
        openedAt = nil
        hasEvent = false
        ended = nil
        target = start
        // The application chose the configured URL, even if a redirect led back to it.
        if target.address.string == original.string { target.hasLeftOrigin = false }
        return .connect(request())
    }

    /// The header provider threw an error.
    mutating func failed(headers error: any Error, at now: Duration) -> Action {
        failed(.init(.headersUnavailable, "The header provider threw an error.", cause: error), at: now)
    }

    private func request() -> EventSourceRequest {
        var fields = headerFields
        if fields[.accept] == nil { fields[.accept] = "text/event-stream" }
        if fields[.cacheControl] == nil { fields[.cacheControl] = "no-cache" }
        // "If the EventSource object's last event ID string is not the empty string … UTF-8 encoded".
        // An oversized ID is omitted: the server would refuse the request head (431), a permanent failure.
        let id = collector.lastEventID
        let isSent = !id.isEmpty && id.utf8.count <= configuration.maximumLastEventIDSize
        fields[.lastEventID] = isSent ? id : nil
        if target.hasLeftOrigin {
            // "If request's current URL's origin is not same origin with locationURL's origin, then … remove"
            // credentials; once removed, they stay removed for all later redirects.
            for name in configuration.sensitiveHeaderFields { fields[values: name] = [] }
        } else if fields[.authorization] == nil {
            fields[.authorization] = target.address.basicAuthorization ?? original.basicAuthorization
        }
        if target.body == nil && configuration.body != nil {
            // "For each headerName of request-body-header name, delete headerName from request's header list."
            for name: HTTPField.Name in [.contentEncoding, .contentLanguage, .contentLocation, .contentType] {
                fields[values: name] = []
            }
        }
        return EventSourceRequest(
            method: target.method,
            url: target.address.string,
            headerFields: fields,
            body: target.body
        )
    }

    // MARK: - Responses

    /// Receives the head of a response.
    ///
    /// - Parameters:
    ///   - head: The head.
    ///   - reason: The server's reason, if it refused.
    ///   - now: The current time.
    ///   - date: Seconds since 1970 (UTC), for a `Retry-After` that is a date.
    /// - Returns: The next action.
    mutating func received(
        _ head: EventSourceResponseHead,
        reason: ServerReason? = nil,
        at now: Duration,
        date: Int
    ) -> Action {
        var head = head
        head.url = target.address.string
        // A redirect status without a `Location` is an ordinary response.
        if Self.redirectStatuses.contains(head.status),
            let location = head.headerFields[values: .location].first(where: { !$0.isEmpty })
        {
            return redirect(head.status, to: location, at: now)
        }
        // Later attempts start where the redirects of this one led.
        if !configuration.reconnectsToOriginalURL { start = target }
        if head.status == 204 { return .stop(nil) }
        guard head.status == 200 else { return unexpected(head, reason, at: now, date: date) }
        let type = MediaType(head.headerFields)
        guard type?.essence == "text/event-stream" else {
            let found = head.headerFields[.contentType].map { "its Content-Type is \($0.debugDescription)" }
            return .stop(
                EventSourceError(
                    .unexpectedContentType,
                    "The response of \(head.url) is not an event stream: \(found ?? "it has no Content-Type"). "
                        + "The server must send text/event-stream.",
                    status: head.status
                )
            )
        }
        if configuration.requiresUTF8, let charset = type?.charset, charset != "utf-8" {
            return .stop(
                EventSourceError(
                    .unexpectedCharset,
                    "The event stream of \(head.url) has the charset \(charset); event streams must be UTF-8.",
                    status: head.status
                )
            )
        }
        if let encoding = head.headerFields[.contentEncoding],
            ["gzip", "x-gzip", "deflate", "br", "zstd", "compress"].contains(encoding.lowercased())
        {
            return .stop(
                EventSourceError(
                    .compressed,
                    "The event stream of \(head.url) is compressed (\(encoding)); no compression was requested.",
                    status: head.status
                )
            )
        }
        collector.reset()
        openedAt = now
        return .read(head)
    }

    private mutating func unexpected(
        _ head: EventSourceResponseHead,
        _ reason: ServerReason?,
        at now: Duration,
        date: Int
    ) -> Action {
        let isRetried = configuration.retryableStatuses.contains(head.status)
        var error = EventSourceError(
            .unexpectedStatus,
            "\(head.url) answered with status \(head.status), not 200\(reason.map { ": \($0)" } ?? "")."
                + (Self.redirectStatuses.contains(head.status) ? " It has no Location to follow." : ""),
            status: head.status
        )
        if !isRetried, head.status >= 400 { error.advice = "Add the status to retryableStatuses if it is transient." }
        error.reason = reason?.text
        error.reasonCode = reason?.code
        guard isRetried else { return .stop(error) }
        let asked = RetryAfter.delay(in: head.headerFields, now: date) ?? .zero
        return failed(error, at: now, atLeast: min(asked, configuration.maximumRetryAfter))
    }

    // "HTTP-redirect fetch": https://fetch.spec.whatwg.org/#http-redirect-fetch
    private mutating func redirect(_ status: Int, to location: String, at now: Duration) -> Action {
        let from = target.address.string
        let next: HTTPAddress
        do throws(HTTPAddress.Failure) {
            next = try target.address.resolve(location)
        } catch {
            guard case .scheme(let scheme) = error else { return invalid(location, status, at: now) }
            // "If locationURL's scheme is not an HTTP(S) scheme, then return a network error": not retried, since the
            // redirect would stay the same.
            return .stop(
                EventSourceError(
                    .redirectRefused,
                    "\(from) redirects to the scheme \(scheme), which is not HTTP: \(Self.quoted(location)).",
                    status: status
                )
            )
        }
        // "If request's redirect count is 20, then return a network error."
        guard redirects < Self.maximumRedirects else {
            return failed(
                EventSourceError(
                    .tooManyRedirects,
                    "\(from) redirects to \(next.string) after \(Self.maximumRedirects) redirects, the limit.",
                    status: status
                ),
                at: now
            )
        }
        let hasLeftOrigin = target.hasLeftOrigin || !next.hasSameOrigin(as: target.address)
        if next.hasCredentials && hasLeftOrigin {
            return .stop(
                EventSourceError(
                    .redirectRefused,
                    "\(from) redirects to another origin with a user name: \(Self.quoted(location)).",
                    status: status
                )
            )
        }
        redirects += 1
        target.address = next
        target.hasLeftOrigin = hasLeftOrigin
        let isPost = target.method == .post
        if (status == 301 || status == 302) && isPost
            || status == 303 && target.method != .get && target.method != .head
        {
            target.method = .get
            target.body = nil
        }
        return .connect(request())
    }

    /// A `Location` for a message: escaped, without credentials, cut to 200 characters.
    private static func quoted(_ location: String) -> String {
        let text = HTTPAddress.redacted(location)
        return (text.utf8.count > 200 ? text.prefix(200) + "…" : text[...]).debugDescription
    }

    private mutating func invalid(_ location: String, _ status: Int, at now: Duration) -> Action {
        failed(
            EventSourceError(
                .invalidRedirect,
                "\(target.address.string) redirects to an invalid URL: \(Self.quoted(location)).",
                status: status
            ),
            at: now
        )
    }

    // MARK: - Streams

    /// Receives bytes of the stream and appends what they complete to the batch.
    ///
    /// - Returns: Nil to continue reading.
    mutating func received(_ bytes: Span<UInt8>, into batch: inout EventBatch) -> Action? {
        let count = batch.events.count
        do {
            try collector.collect(bytes, into: &batch)
        } catch {
            let maximum = configuration.maximumEventSize
            var failure = EventSourceError(
                .tooLarge,
                "An event of \(target.address.string) is larger than \(maximum) bytes.",
                cause: error
            )
            failure.advice = "Raise maximumEventSize if the server can be trusted."
            return .stop(failure)
        }
        if batch.events.count > count { hasEvent = true }
        return reading.isOfHub ? interpret(&batch, from: count) : nil
    }

    /// The connection or attempt ended: the body ended, the transport failed, or a timeout fired.
    mutating func failed(_ error: EventSourceError, at now: Duration) -> Action {
        failed(error, at: now, atLeast: .zero)
    }

    private mutating func failed(_ error: EventSourceError, at now: Duration, atLeast minimum: Duration) -> Action {
        if error.code == .streamEnded, let ended, target.isStream(ofTopic: ended) { return .end }
        // Drops the unfinished event and its ID.
        collector.reset()
        if let openedAt, hasEvent || now - openedAt >= healthyTime(error) {
            failures = 0
            isPastMark = true
        }
        openedAt = nil
        failures += 1
        return wait(after: error, atLeast: minimum)
    }

    /// The delay after the latest of ``failures``, unless it is the last one allowed.
    func wait(after error: EventSourceError, atLeast minimum: Duration = .zero) -> Action {
        if let maximum = configuration.maximumAttempts, failures >= maximum {
            var last = EventSourceError(
                .tooManyAttempts,
                "\(failures) consecutive attempts failed, the limit of maximumAttempts. The last one: "
                    + error.message,
                status: error.status,
                cause: error.cause ?? error
            )
            last.reason = error.reason
            last.reasonCode = error.reasonCode
            return .stop(last)
        }
        let added = configuration.backoff.delay(failures: failures, random: configuration.random())
        return .wait(max(reconnectionTime + added, minimum), error)
    }

    /// How long a connection without an event must have been open to reset the failure count.
    ///
    /// Proxies and platforms end healthy but idle streams properly after a while. An earlier end does not reset the
    /// count, so that the back-off grows for a server that ends every stream at once, even if it sets `retry: 0`.
    private func healthyTime(_ error: EventSourceError) -> Duration {
        let resetTime = configuration.backoff.resetTime
        return error.code == .streamEnded ? min(max(.seconds(1), reconnectionTime), resetTime) : resetTime
    }

    /// The reader requested a new connection, which is not a failure.
    mutating func restart() {
        collector.reset()
        failures = 0
    }

    /// The reader has read the application's state: continues after its mark.
    mutating func restart(after mark: String) {
        earlierReconnectionTime = collector.reconnectionTime ?? earlierReconnectionTime
        collector = Self.collector(configuration, reading, after: mark)
        isPastMark = false
    }
}

extension HTTPField.Name {
    /// `Last-Event-ID`.
    static let lastEventID = HTTPField.Name(known: "Last-Event-ID")

    private init(known name: String) {
        guard let parsed = HTTPField.Name(name) else { preconditionFailure("\(name) is not a valid field name.") }
        self = parsed
    }
}
