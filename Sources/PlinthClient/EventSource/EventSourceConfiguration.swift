// SPDX-License-Identifier: Apache-2.0

public import HTTPTypes
public import Logging
public import Metrics

/// How an event source connects, waits, and what it accepts.
///
/// As it is made it does what a browser does, and waits a little longer: see ``backoff``.
public struct EventSourceConfiguration: Sendable {
    /// The request's method; GET unless set.
    public var method: HTTPRequest.Method = .get

    /// The request's body, sent at each attempt; nil, the default, for none.
    public var body: [UInt8]?

    /// Header fields of each request, beside `Accept`, `Cache-Control` and `Last-Event-ID`, of which the first two can be
    /// replaced; none unless set.
    public var headerFields: HTTPFields = [:]

    /// Asked for header fields before each attempt, for credentials that expire; nil, the default, for none.
    ///
    /// They replace those of the same name in ``headerFields``. An error that it throws counts as a failed attempt.
    /// Redirects within an attempt get the same fields.
    public var headerProvider: (@Sendable () async throws -> HTTPFields)?

    /// Header fields that are left out from where a redirect leads to another origin; `Authorization`,
    /// `Proxy-Authorization` and `Cookie` unless set.
    ///
    /// They stay left out for the redirects that follow, also one that leads back, and for attempts that begin where those
    /// ended. An attempt at the source's own URL has them again. The same holds for the user name of a URL, whatever is set
    /// here.
    public var sensitiveHeaderFields: Set<HTTPField.Name> = [.authorization, .proxyAuthorization, .cookie]

    /// Whether each connection begins at the source's URL; false, the default, to connect again to where redirects led,
    /// as browsers do.
    public var reconnectsToOriginalURL = false

    /// The last event ID of an earlier run, sent with the first request; empty, the default, for none.
    public var lastEventID = ""

    /// The reconnection time until the stream sets another with `retry`; 3 seconds unless set, at least 0.
    public var reconnectionTime: Duration = .seconds(3)

    /// The longest reconnection time that a stream can set; 1 hour unless set.
    ///
    /// A stream that sets a longer one gets this one. ``reconnectionTime`` may be longer.
    public var maximumReconnectionTime: Duration = .seconds(3600)

    /// The bytes that a last event ID may have to be sent; 4 KiB unless set.
    ///
    /// A longer one is kept and handed out, but a request without it is made, and that is logged: servers refuse a head
    /// that is too large with a status that ends the source for good. Many take no field above 8 KiB.
    public var maximumLastEventIDSize = 4096

    /// The time that is waited beyond the reconnection time; see ``EventSourceBackoff``.
    ///
    /// ``EventSourceBackoff/none`` to wait as long as the stream says and no longer.
    public var backoff: EventSourceBackoff = .exponential()

    /// How many attempts may fail in a row before the source fails for good; nil, the default, for no limit.
    ///
    /// A connection that brought an event, or was open for a while (``EventSourceBackoff/resetTime``), is no failure,
    /// nor is one that the server ended properly after a shorter while.
    public var maximumAttempts: Int?

    /// Statuses that are retried like a failed connection; none, as in browsers, unless set.
    ///
    /// ``transientStatuses`` are the usual ones. A `Retry-After` of the response is honoured, up to
    /// ``maximumRetryAfter``.
    public var retryableStatuses: Set<Int> = []

    /// Statuses that usually pass: 408, 425, 429, 500, 502, 503, 504, 509, and 520 to 530, with which proxies report what
    /// is wrong between them and the server.
    public static let transientStatuses = Set([408, 425, 429, 500, 502, 503, 504, 509] + Array(520...530))

    /// The longest time that a `Retry-After` can make the source wait; 5 minutes unless set.
    public var maximumRetryAfter: Duration = .seconds(300)

    /// The time without a byte after which the connection is given up and made again; nil, the default, for no limit.
    ///
    /// It holds for the body, and for the head unless ``responseTimeout`` is set: a server that accepts a connection and
    /// never answers is given up after it. Only the time counts for which the source waits for bytes: a reader that is slow
    /// does not trip it. A server's heartbeat should be shorter than half of it.
    public var idleTimeout: Duration?

    /// The time within which the response's head must be there, counted from the begin of an attempt, the header provider
    /// and redirects included; nil, the default, for no limit but ``idleTimeout``.
    ///
    /// A server may hold the head back until its first event. The transport has a limit of its own for making a
    /// connection, 10 seconds with AsyncHTTPClient unless configured.
    public var responseTimeout: Duration?

    /// The bytes that a line, and the data, type and ID of an event together may have; 2 MiB unless set, `.max` for no
    /// limit, at least 1.
    ///
    /// A stream that goes beyond makes the source fail for good: it would do so again. The default is twice what a Plinth
    /// hub lets an event's data have by its own, so that type, ID and topic always fit beside it.
    public var maximumEventSize = 2 << 20

    /// Whether ``EventSource/messages`` has comments; false unless set.
    public var includesComments = false

    /// Whether a response with a `charset` other than UTF-8 is refused, as Chromium does; false, the default, to read it
    /// as UTF-8, as the standard says.
    public var requiresUTF8 = false

    /// Gets what happens: connections at `debug`, retries at `debug`, a failure for good at `info`; nobody unless set.
    public var logger = Logger(label: "plinth.event-source") { _ in SwiftLogNoOpLogHandler() }

    /// The value of the label `source` of all metrics; `default` unless set.
    ///
    /// Use few different ones.
    public var metricsLabel = "default"

    /// Where metrics go; the factory that was bootstrapped unless set.
    ///
    /// See <doc:EventSources#Metrics>.
    public var metricsFactory: (any MetricsFactory)?

    /// The clock by which the source waits; the continuous clock unless set.
    public var clock: any Clock<Duration> = ContinuousClock()

    /// A number from 0 up to 1, for the time that ``backoff`` adds; a random one unless set.
    public var random: @Sendable () -> Double = { Double.random(in: 0..<1) }

    /// A configuration that does what a browser does.
    public init() {}
}
