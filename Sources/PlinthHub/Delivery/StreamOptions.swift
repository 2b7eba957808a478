// SPDX-License-Identifier: Apache-2.0

package import PlinthEvents

/// The options of all streams of a hub; an application's stream has `EventStreamOptions`.
public struct StreamOptions: Sendable {
    /// The time without a write after which a heartbeat is sent, up to a tenth earlier; nil for none.
    ///
    /// Default: 10 s.
    public var heartbeat: Duration?
    /// The type of the event sent as a heartbeat, for clients that need to see heartbeats; nil for a comment, which
    /// they do not see.
    ///
    /// The event has empty data and no ID, so it does not move a client's resume point. Publishers cannot publish
    /// events of this type. It must satisfy the rules of ``gapType`` and differ from it.
    ///
    /// Default: nil.
    public var heartbeatEvent: String?
    /// The reconnection time that each stream sends first, and again before the hub ends it: random within this range.
    ///
    /// This keeps clients of streams that end together, as when a server is replaced, from reconnecting together. At
    /// the limit of streams the time is four times as long. Truncated to whole milliseconds.
    ///
    /// Default: 2 s to 4 s.
    public var retry: ClosedRange<Duration>
    /// The longest reconnection time that a publisher may give clients.
    ///
    /// Longer times are published as this one, and times below 100 ms as 100 ms, which is also the minimum of this
    /// option. A client keeps the time that it was last given, so one event could otherwise send all clients away for
    /// good, or make them reconnect without pause.
    ///
    /// Default: 1 h.
    public var maximumRetry: Duration
    /// How long a connection may take none of the waiting bytes before it is closed; nil for no limit.
    ///
    /// Default: 60 s.
    public var writeTimeout: Duration?
    /// The maximum duration of a stream; nil for no limit.
    ///
    /// Default: nil.
    public var maximumAge: Duration?
    /// What happens to a subscriber that needs events that history no longer holds.
    ///
    /// Default: ``GapPolicy/tell``.
    public var gapPolicy: GapPolicy
    /// How long a history may fail to answer a stream that is behind, before the stream ends.
    ///
    /// Meanwhile the stream stays open, with heartbeats, and asks again every second.
    ///
    /// Default: 60 s.
    public var historyTimeout = Duration.seconds(60)
    /// The type of the event that reports a gap.
    ///
    /// Publishers cannot publish events of this type. It must not be empty, contain a line break, or be `message`, the
    /// type of events without one, or `end`; ``Hub`` throws ``HubError`` otherwise.
    ///
    /// Default: `gap`.
    public var gapType: String
    /// Draws a number from a range, both ends included; tests replace it.
    package var random: @Sendable (ClosedRange<Int64>) -> Int64 = { .random(in: $0) }
    /// Tells the time; tests replace it.
    package var now: @Sendable () -> MonotonicTime = { .now() }
    /// Waits, between two questions to a history that failed or for one that does not answer; tests replace it.
    package var pause: @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }

    /// Creates options.
    ///
    /// - Parameters:
    ///   - heartbeat: The time without a write after which a heartbeat is sent; nil for none.
    ///   - heartbeatEvent: The type of the event sent as a heartbeat; nil for a comment.
    ///   - retry: The range of the reconnection times of streams.
    ///   - maximumRetry: The longest reconnection time that a publisher may give clients.
    ///   - writeTimeout: How long a connection may take none of the waiting bytes; nil for no limit.
    ///   - maximumAge: The maximum duration of a stream; nil for no limit.
    ///   - gapPolicy: What happens to a subscriber that needs events that history no longer holds.
    ///   - gapType: The type of the event that reports a gap: not empty, not `message`, without line breaks.
    public init(
        heartbeat: Duration? = .defaultHeartbeat,
        heartbeatEvent: String? = nil,
        retry: ClosedRange<Duration> = .seconds(2)...(.seconds(4)),
        maximumRetry: Duration = .seconds(3600),
        writeTimeout: Duration? = .defaultWriteTimeout,
        maximumAge: Duration? = nil,
        gapPolicy: GapPolicy = .tell,
        gapType: String = "gap"
    ) {
        self.heartbeat = heartbeat
        self.heartbeatEvent = heartbeatEvent
        self.retry = retry
        self.maximumRetry = maximumRetry
        self.writeTimeout = writeTimeout
        self.maximumAge = maximumAge
        self.gapPolicy = gapPolicy
        self.gapType = gapType
    }
}

extension StreamOptions {
    /// The types of the hub's own events.
    ///
    /// - Throws: ``HubError`` if one of them is not a valid type or is `message` or `end`, or if both are the same.
    func reservedTypes() throws -> [String] {
        try Self.check("gapType", gapType)
        guard let heartbeatEvent else { return [gapType, TopicEnd.eventType] }
        try Self.check("heartbeatEvent", heartbeatEvent)
        if heartbeatEvent.utf8.elementsEqual(gapType.utf8) {
            throw HubError.badOption("heartbeatEvent", "it is also the type of gaps; choose another")
        }
        return [gapType, TopicEnd.eventType, heartbeatEvent]
    }

    private static func check(_ name: String, _ type: String) throws {
        do {
            _ = try ServerSentEvent.EventType(type)
        } catch {
            throw HubError.badOption(name, error.message)
        }
        if type.utf8.elementsEqual("message".utf8) {
            throw HubError.badOption(name, "`message` is the type of events without one; choose another")
        }
        if type.utf8.elementsEqual(TopicEnd.eventType.utf8) {
            throw HubError.badOption(name, "`end` is the type of the ends of topics; choose another")
        }
    }
}

// MARK: - What streams send

extension StreamOptions {
    /// The reconnection times that a publisher may give clients.
    var publishedRetry: ClosedRange<Duration> {
        let shortest = Duration.milliseconds(100)
        return shortest...max(shortest, .milliseconds(Self.milliseconds(maximumRetry)))
    }

    /// Draws a reconnection time for one stream.
    ///
    /// - Parameter factor: The multiple of the usual time.
    /// - Returns: The time, in whole milliseconds.
    package func drawRetry(times factor: Int64 = 1) -> Duration {
        let range = Self.milliseconds(retry.lowerBound)...Self.milliseconds(retry.upperBound)
        return .milliseconds(random(range) * factor)
    }

    /// Draws a reconnection time for one stream and encodes its block.
    ///
    /// - Parameter factor: The multiple of the usual time.
    /// - Returns: The block's bytes.
    package func retryBlock(times factor: Int64 = 1) -> [UInt8] {
        var bytes: [UInt8] = []
        // Cannot fail: whole milliseconds, bounded by 64 bits of nanoseconds.
        if let block = try? EventStreamBlock.retry(drawRetry(times: factor)) { block.encode(into: &bytes) }
        return bytes
    }

    /// The heartbeat, if it is an event.
    package var heartbeatBlock: ServerSentEvent? {
        guard let heartbeatEvent else { return nil }
        return try? ServerSentEvent(type: heartbeatEvent, data: "")
    }

    /// Whole milliseconds, from 0 to the most that 64 bits of nanoseconds hold.
    private static func milliseconds(_ duration: Duration) -> Int64 {
        max(0, duration.clampedNanoseconds / 1_000_000)
    }
}
