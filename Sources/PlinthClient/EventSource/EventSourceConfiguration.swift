// SPDX-License-Identifier: Apache-2.0

public import HTTPTypes
public import Logging
public import Metrics

/// How an event source connects and waits, and which responses it accepts.
///
/// The defaults are those of browsers, plus a back-off: see ``backoff``.
public struct EventSourceConfiguration: Sendable {
    /// The request's method.
    ///
    /// Default: GET.
    public var method: HTTPRequest.Method = .get

    /// The request's body, sent with each attempt; nil for none.
    ///
    /// Default: nil.
    public var body: [UInt8]?

    /// Header fields added to each request, besides `Accept`, `Cache-Control` and `Last-Event-ID`.
    ///
    /// The first two of these can be replaced.
    ///
    /// Default: none.
    public var headerFields: HTTPFields = [:]

    /// Called before each attempt for header fields that may change, such as credentials that expire.
    ///
    /// The fields replace those of the same name in ``headerFields``, also for redirects within the attempt. An error
    /// that it throws counts as a failed attempt.
    ///
    /// Default: nil.
    public var headerProvider: (@Sendable () async throws -> HTTPFields)?

    /// Header fields removed when a redirect leads to another origin.
    ///
    /// They stay removed for later redirects, even back to the first origin, and for attempts that start where those
    /// led. An attempt at the source's own URL sends them again. The same always applies to a URL's user name and
    /// password.
    ///
    /// Default: `Authorization`, `Proxy-Authorization` and `Cookie`.
    public var sensitiveHeaderFields: Set<HTTPField.Name> = [.authorization, .proxyAuthorization, .cookie]

    /// Whether each attempt starts at the source's URL; false to start where redirects led, as browsers do.
    ///
    /// Default: false.
    public var reconnectsToOriginalURL = false

    /// The last event ID of an earlier run, sent with the first request; empty for none.
    ///
    /// Default: empty.
    public var lastEventID = ""

    /// The reconnection time until the stream sets another with `retry`; below 0 counts as 0.
    ///
    /// Default: 3 s.
    public var reconnectionTime: Duration = .seconds(3)

    /// The maximum reconnection time that a stream can set; a longer one is reduced to it.
    ///
    /// Does not limit ``reconnectionTime``.
    ///
    /// Default: 1 h.
    public var maximumReconnectionTime: Duration = .seconds(3600)

    /// The maximum size in bytes of a last event ID that is sent.
    ///
    /// A longer ID is kept and delivered, but omitted from requests, which is logged: servers refuse a head that is too
    /// large with a status that fails the source permanently. Many accept no field above 8 KiB.
    ///
    /// Default: 4 KiB.
    public var maximumLastEventIDSize = 4096

    /// The delay added to the reconnection time; ``EventSourceBackoff/none`` for no delay.
    ///
    /// Default: ``EventSourceBackoff/exponential(base:cap:resetTime:)``.
    public var backoff: EventSourceBackoff = .exponential()

    /// The number of consecutive failures after which the source fails permanently; nil for no limit.
    ///
    /// The end of a connection counts as a failure. If the connection brought an event or was open long enough
    /// (``EventSourceBackoff/resetTime``), the count restarts at 1.
    ///
    /// Default: nil.
    public var maximumAttempts: Int?

    /// Statuses that are retried like a failed connection, usually ``transientStatuses``.
    ///
    /// The response's `Retry-After` is honoured, up to ``maximumRetryAfter``.
    ///
    /// Default: none, as in browsers.
    public var retryableStatuses: Set<Int> = []

    /// Statuses that are usually transient: 408, 425, 429, 500, 502, 503, 504, 509, and 520 to 530, with which proxies
    /// report failures between them and the server.
    public static let transientStatuses = Set([408, 425, 429, 500, 502, 503, 504, 509] + Array(520...530))

    /// The maximum delay that a `Retry-After` can set; a longer one is reduced to it.
    ///
    /// Default: 5 min.
    public var maximumRetryAfter: Duration = .seconds(300)

    /// The time without a byte after which the source reconnects; nil for no limit.
    ///
    /// Applies to the body, and to the head unless ``responseTimeout`` is set: it also detects a server that accepts a
    /// connection and never responds. Only time spent waiting for bytes counts: a slow reader does not trigger it. The
    /// server's heartbeat interval should be less than half of it.
    ///
    /// Default: nil.
    public var idleTimeout: Duration?

    /// The time limit of an attempt until the response's head; nil for no limit but ``idleTimeout``.
    ///
    /// Includes the header provider and redirects. A server may hold the head back until its first event. The transport
    /// has its own connect timeout, by default 10 s with AsyncHTTPClient.
    ///
    /// Default: nil.
    public var responseTimeout: Duration?

    /// The maximum size in bytes of an event's data, type and ID together; `.max` for no limit.
    ///
    /// A line may have 16 bytes more, for its field name. A larger event or line fails the source permanently, since it
    /// would be sent again. Values below 1 count as 1. The default is twice a Plinth hub's default for an event's data,
    /// so that type, ID and topic always fit.
    ///
    /// Default: 2 MiB.
    public var maximumEventSize = 2 << 20

    /// Whether ``EventSource/messages`` includes comments.
    ///
    /// Default: false.
    public var includesComments = false

    /// The types of a hub's own events, for ``EventSource/hubUpdates`` and ``EventSource/following(_:)``.
    ///
    /// Default: those of a hub with default options.
    public var hub = EventSourceHub()

    /// Whether to refuse a response with a `charset` other than UTF-8, as Chromium does.
    ///
    /// If false, it is read as UTF-8, as in the HTML standard.
    ///
    /// Default: false.
    public var requiresUTF8 = false

    /// Logs connections and retries at `debug`, permanent failures and omitted last event IDs at `info`.
    ///
    /// Default: a logger that discards everything.
    public var logger = Logger(label: "plinth.event-source") { _ in SwiftLogNoOpLogHandler() }

    /// The value of the label `source` of all metrics.
    ///
    /// Use few distinct values.
    ///
    /// Default: `default`.
    public var metricsLabel = "default"

    /// The factory of the metrics; nil for the bootstrapped one.
    ///
    /// See <doc:EventSources#Metrics>.
    ///
    /// Default: nil.
    public var metricsFactory: (any MetricsFactory)?

    /// The clock for delays and timeouts.
    ///
    /// Default: `ContinuousClock`.
    public var clock: any Clock<Duration> = ContinuousClock()

    /// Returns a number from 0 to 1, the fraction of the maximum delay that ``backoff`` adds.
    ///
    /// Default: a random number.
    public var random: @Sendable () -> Double = { Double.random(in: 0..<1) }

    /// Creates a configuration with the defaults.
    public init() {}
}
