// SPDX-License-Identifier: Apache-2.0

/// How an event stream behaves.
///
/// Every option has a default that is right for most streams.
public struct EventStreamOptions: Sendable {
    /// What is sent when the stream has been idle.
    ///
    /// Default: a comment after 10 seconds.
    public var heartbeat: Heartbeat
    /// How much is buffered for a slow client, and what happens at the bound.
    ///
    /// Default: 10 events, then `send` waits.
    public var buffer: EventBufferPolicy
    /// When the head of the response is written.
    ///
    /// Default: at once.
    public var opens: Opening
    /// The reconnection time that the client is told when the stream opens, cut to whole milliseconds.
    ///
    /// Default: nil, which leaves it to the client (browsers wait three to five seconds).
    public var retry: Duration?
    /// How long a client may take nothing of what is due to it before the stream ends with
    /// ``StreamEnd/timedOut``.
    ///
    /// Default: 60 s; nil for as long as it likes.
    public var writeTimeout: Duration?
    /// How old the stream may become before it ends with ``StreamEnd/expired``, for balancing load and checking
    /// authorization anew; clients reconnect.
    ///
    /// Default: nil, no limit.
    public var maximumAge: Duration?
    /// Makes the last event of a stream whose ready function threw.
    ///
    /// Default: nil, errors never reach the client.
    ///
    /// It is not asked for cancellation, and not while an error can still become a status
    /// (``Opening/withFirstEvent``).
    public var onError: (@Sendable (any Error) -> ServerSentEvent?)?

    /// When the head of an event stream's response is written.
    public struct Opening: Sendable, Hashable {
        let waitsForFirstEvent: Bool
        /// How long it waits, nil for ever.
        let patience: Duration?
        /// Returns when that time is over.
        let sleep: @Sendable (Duration) async throws -> Void

        private init(waitsForFirstEvent: Bool, patience: Duration?, clock: some Clock<Duration>) {
            self.waitsForFirstEvent = waitsForFirstEvent
            self.patience = patience
            self.sleep = { try await clock.sleep(for: $0) }
        }

        /// Before the ready function runs, with a comment at once behind it, so that every client opens.
        public static let atOnce = Opening(waitsForFirstEvent: false, patience: nil, clock: ContinuousClock())
        /// With the first event, however long that takes.
        ///
        /// An error before it is still an HTTP status, through the error stages of the chain: what a gateway to a model
        /// needs. Clients and proxies that wait for a head give up after a time of their own, often a minute:
        /// ``withFirstEvent(within:clock:)`` has a limit.
        public static let withFirstEvent = Opening(
            waitsForFirstEvent: true,
            patience: nil,
            clock: ContinuousClock()
        )

        /// With the first event, or after a time without one: then the head goes out with a comment.
        ///
        /// An error before the head is an HTTP status, as with ``withFirstEvent``; one behind it is an error of an open
        /// stream, which `onError` may turn into an event.
        ///
        /// - Parameters:
        ///   - patience: How long to wait for the first event.
        ///   - clock: What measures the time; the continuous clock unless given, a manual one in tests.
        /// - Returns: The opening.
        public static func withFirstEvent(
            within patience: Duration,
            clock: some Clock<Duration> = ContinuousClock()
        ) -> Opening {
            Opening(waitsForFirstEvent: true, patience: patience, clock: clock)
        }

        /// Whether both open at the same moment; their clocks are not compared.
        public static func == (lhs: Opening, rhs: Opening) -> Bool {
            lhs.waitsForFirstEvent == rhs.waitsForFirstEvent && lhs.patience == rhs.patience
        }

        /// Hashes what ``==(_:_:)`` compares.
        public func hash(into hasher: inout Hasher) {
            hasher.combine(waitsForFirstEvent)
            hasher.combine(patience)
        }
    }

    /// Options; all defaults unless given.
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
