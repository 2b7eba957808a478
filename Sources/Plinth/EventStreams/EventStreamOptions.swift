// SPDX-License-Identifier: Apache-2.0

/// Options of an event stream: heartbeat, buffer, opening, reconnection time, timeouts, errors.
///
/// The defaults suit most streams. A hub's streams have `StreamOptions`.
public struct EventStreamOptions: Sendable {
    /// What to send when the stream is idle.
    ///
    /// Default: a comment after 10 s.
    public var heartbeat: Heartbeat
    /// How many events to buffer for a slow client, and what happens at the bound.
    ///
    /// Default: 10 events or 1 MiB, then `send` waits.
    public var buffer: EventBufferPolicy
    /// When to write the head of the response.
    ///
    /// Default: at once.
    public var opens: Opening
    /// The reconnection time to send when the stream opens, truncated to whole milliseconds.
    ///
    /// Default: nil, which leaves it to the client (browsers wait 3 to 5 s).
    public var retry: Duration?
    /// How long a client may accept none of its pending bytes before the stream ends with ``StreamEnd/timedOut``.
    ///
    /// Nil means no limit.
    ///
    /// Default: 60 s.
    public var writeTimeout: Duration?
    /// The age at which the stream ends with ``StreamEnd/expired``.
    ///
    /// Clients reconnect, which balances load and renews authorization.
    ///
    /// Default: nil, no limit.
    public var maximumAge: Duration?
    /// Creates the last event of a stream whose ready function threw an error.
    ///
    /// Not called for cancellation, nor for an error that becomes an HTTP status (``Opening/withFirstEvent``).
    ///
    /// Default: nil, errors never reach the client.
    public var onError: (@Sendable (any Error) -> ServerSentEvent?)?

    /// When to write the head of an event stream's response.
    public struct Opening: Sendable, Hashable {
        let waitsForFirstEvent: Bool
        /// How long to wait for the first event; nil for no limit.
        let patience: Duration?
        /// Returns after that time.
        let sleep: @Sendable (Duration) async throws -> Void

        private init(waitsForFirstEvent: Bool, patience: Duration?, clock: some Clock<Duration>) {
            self.waitsForFirstEvent = waitsForFirstEvent
            self.patience = patience
            self.sleep = { try await clock.sleep(for: $0) }
        }

        /// Before the ready function runs, followed by a comment, so that every client reports the stream as open.
        public static let atOnce = Opening(waitsForFirstEvent: false, patience: nil, clock: ContinuousClock())
        /// With the first event, without a time limit.
        ///
        /// An error before it still becomes an HTTP status, through the error stages of the chain, as a gateway to a
        /// model needs. Clients and proxies give up waiting for a head after a timeout of their own, often a minute:
        /// use ``withFirstEvent(within:clock:)``.
        public static let withFirstEvent = Opening(
            waitsForFirstEvent: true,
            patience: nil,
            clock: ContinuousClock()
        )

        /// With the first event, or with a comment once a time limit is reached.
        ///
        /// An error before the head becomes an HTTP status, as with ``withFirstEvent``. An error after it is one of an
        /// open stream, which `onError` may turn into an event.
        ///
        /// - Parameters:
        ///   - patience: How long to wait for the first event.
        ///   - clock: Measures the time; a manual clock in tests. Default: the continuous clock.
        /// - Returns: The opening.
        public static func withFirstEvent(
            within patience: Duration,
            clock: some Clock<Duration> = ContinuousClock()
        ) -> Opening {
            Opening(waitsForFirstEvent: true, patience: patience, clock: clock)
        }

        /// Whether both open at the same time; clocks are not compared.
        public static func == (lhs: Opening, rhs: Opening) -> Bool {
            lhs.waitsForFirstEvent == rhs.waitsForFirstEvent && lhs.patience == rhs.patience
        }

        /// Hashes the values that ``==(_:_:)`` compares.
        public func hash(into hasher: inout Hasher) {
            hasher.combine(waitsForFirstEvent)
            hasher.combine(patience)
        }
    }

    /// Creates options; each property documents its default.
    public init(
        heartbeat: Heartbeat = .every(.defaultHeartbeat),
        buffer: EventBufferPolicy = .bounded(10),
        opens: Opening = .atOnce,
        retry: Duration? = nil,
        writeTimeout: Duration? = .defaultWriteTimeout,
        maximumAge: Duration? = nil,
        onError: (@Sendable (any Error) -> ServerSentEvent?)? = nil
    ) {
        self.heartbeat = heartbeat
        self.buffer = buffer
        self.opens = opens
        self.retry = retry
        self.writeTimeout = writeTimeout
        self.maximumAge = maximumAge
        self.onError = onError
    }
}
