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

    /// Header fields that are left out when a redirect leads to another origin; `Authorization`, `Proxy-Authorization`
    /// and `Cookie` unless set.
    public var sensitiveHeaderFields: Set<HTTPField.Name> = [.authorization, .proxyAuthorization, .cookie]

    /// Whether each connection begins at the source's URL; false, the default, to connect again to where redirects led,
    /// as browsers do.
    public var reconnectsToOriginalURL = false

    /// The last event ID of an earlier run, sent with the first request; empty, the default, for none.
    public var lastEventID = ""

    /// The reconnection time until the stream sets another with `retry`; 3 seconds unless set, at least 0.
    public var reconnectionTime: Duration = .seconds(3)

    /// The time that is waited beyond the reconnection time; see ``EventSourceBackoff``.
    ///
    /// ``EventSourceBackoff/none`` to wait as long as the stream says and no longer.
    public var backoff: EventSourceBackoff = .exponential()

    /// How many attempts may fail in a row before the source fails for good; nil, the default, for no limit.
    ///
    /// A connection that brought an event, or was open for a while (``EventSourceBackoff/resetTime``), is no failure.
    public var maximumAttempts: Int?

    /// Statuses that are retried like a failed connection; none, as in browsers, unless set.
    ///
    /// ``transientStatuses`` are the usual ones. A `Retry-After` of the response is honoured, up to
    /// ``maximumRetryAfter``.
    public var retryableStatuses: Set<Int> = []

    /// 429, 502, 503 and 504: statuses that pass.
    public static let transientStatuses: Set<Int> = [429, 502, 503, 504]

    /// The longest time that a `Retry-After` can make the source wait; 5 minutes unless set.
    public var maximumRetryAfter: Duration = .seconds(300)

    /// The time without a byte of the body after which the connection is given up and made again; nil, the default, for
    /// no limit.
    ///
    /// Only the time counts for which the source waits for bytes: a reader that is slow does not trip it. A server's
    /// heartbeat should be shorter than half of it.
    public var idleTimeout: Duration?

    /// The time within which the response's head must be there, counted from the begin of an attempt, redirects
    /// included; nil, the default, for no limit.
    ///
    /// A server may hold the head back until its first event. The transport has a limit of its own for making a
    /// connection, 10 seconds with AsyncHTTPClient unless configured.
    public var responseTimeout: Duration?

    /// The bytes that a line, and the data, type and ID of an event together may have; 1 MiB unless set, `.max` for no
    /// limit, at least 1.
    ///
    /// A stream that goes beyond makes the source fail for good: it would do so again.
    public var maximumEventSize = 1 << 20

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
