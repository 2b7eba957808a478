// SPDX-License-Identifier: Apache-2.0

package import PlinthEvents

/// What holds for all streams of a hub.
public struct StreamOptions: Sendable {
    /// What happens to a subscriber that needs events which history no longer holds.
    public enum GapPolicy: Sendable, Hashable {
        /// It gets an event of the type ``StreamOptions/gapType`` and goes on with the oldest that is held.
        case tell
        /// Its stream ends with ``StreamEnd/lagged``.
        ///
        /// A client that comes back with the same ID ends again: it has to begin anew, with what is published from then
        /// on or with the oldest that is held. One that began with the oldest is told, not ended, until it has caught up.
        case close
    }

    /// The time without a write after which a heartbeat is sent, up to a tenth earlier; nil for none.
    ///
    /// 10 s unless set.
    public var heartbeat: Duration?
    /// The type of the event that is sent as a heartbeat, for clients that want to see heartbeats; nil for a comment,
    /// which they do not see.
    ///
    /// Default: nil. The event has empty data and no ID, so that it does not move a client's resume point. Publishers
    /// cannot publish events of this type, and it may be none that ``gapType`` could not be, nor that one.
    public var heartbeatEvent: String?
    /// The reconnection time that each stream begins with, and gets again before the hub ends it: at random within these.
    ///
    /// Default: 2 s to 4 s. So the clients of streams that end together, as those of a server that is replaced, do not
    /// come back together. At the limit of streams it is four times as long. Cut to whole milliseconds.
    public var retry: ClosedRange<Duration>
    /// The longest reconnection time that a publisher may give clients.
    ///
    /// Default: 1 h. Events with a longer one are published with this, events with less than 100 ms with 100 ms, which is
    /// also the least that this may be: a client keeps the time that it was last given, so that one event could send all
    /// clients away for good, or have them ask without a pause.
    public var maximumRetry: Duration
    /// How long a connection may take nothing of what waits for it; nil for as long as it likes.
    ///
    /// 60 s unless set.
    public var writeTimeout: Duration?
    /// How long a stream lasts at most; nil, unless set, for no limit.
    public var maximumAge: Duration?
    /// What happens to a subscriber that needs events which history no longer holds.
    ///
    /// It is told, unless set.
    public var gapPolicy: GapPolicy
    /// The type of the event that tells of a gap.
    ///
    /// Default: `gap`. Publishers cannot publish events of this type. It is not empty, has no line break, and is not
    /// `message`, the type of events without one: a hub with any of these is not made.
    public var gapType: String
    /// Draws a number from a range, both ends included; another one for tests.
    package var random: @Sendable (ClosedRange<Int64>) -> Int64 = { .random(in: $0) }

    /// Options.
    ///
    /// - Parameters:
    ///   - heartbeat: The time without a write after which a heartbeat is sent; nil for none.
    ///   - heartbeatEvent: The type of the event that is sent as a heartbeat; nil for a comment.
    ///   - retry: The reconnection time of streams: each is given one at random.
    ///   - maximumRetry: The longest reconnection time that a publisher may give clients.
    ///   - writeTimeout: How long a connection may take nothing of what waits for it; nil for as long as it likes.
    ///   - maximumAge: How long a stream lasts at most; nil for no limit.
    ///   - gapPolicy: What happens to a subscriber that needs events which history no longer holds.
    ///   - gapType: The type of the event that tells of a gap: not empty, not `message`, without line breaks.
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
    /// - Throws: ``HubError`` if one of them cannot be a type, or is that of publishers' events.
    func reservedTypes() throws -> [String] {
        try Self.check("gapType", gapType)
        guard let heartbeatEvent else { return [gapType] }
        try Self.check("heartbeatEvent", heartbeatEvent)
        if heartbeatEvent.utf8.elementsEqual(gapType.utf8) {
            throw HubError.badOption("heartbeatEvent", "it is the type of gaps, too; choose another")
        }
        return [gapType, heartbeatEvent]
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
    }
}

// MARK: - What streams are sent

extension StreamOptions {
    /// The reconnection times that a publisher may give clients.
    var publishedRetry: ClosedRange<Duration> {
        let shortest = Duration.milliseconds(100)
        return shortest...max(shortest, .milliseconds(Self.milliseconds(maximumRetry)))
    }

    /// A reconnection time for one stream.
    ///
    /// - Parameter factor: How many times as long as usual.
    /// - Returns: The time, in whole milliseconds.
    package func drawRetry(times factor: Int64 = 1) -> Duration {
        let range = Self.milliseconds(retry.lowerBound)...Self.milliseconds(retry.upperBound)
        return .milliseconds(random(range) * factor)
    }

    /// The block of a reconnection time for one stream.
    ///
    /// - Parameter factor: How many times as long as usual.
    /// - Returns: Its bytes.
    package func retryBlock(times factor: Int64 = 1) -> [UInt8] {
        var bytes: [UInt8] = []
        // Whole milliseconds, of which there are no more than a duration has nanoseconds: it cannot fail.
        if let block = try? EventStreamBlock.retry(drawRetry(times: factor)) { block.encode(into: &bytes) }
        return bytes
    }

    /// The heartbeat, if that is an event.
    package var heartbeatBlock: ServerSentEvent? {
        guard let heartbeatEvent else { return nil }
        return try? ServerSentEvent(type: heartbeatEvent, data: "")
    }

    /// Whole milliseconds from 0 to what nanoseconds in 64 bits hold.
    private static func milliseconds(_ duration: Duration) -> Int64 {
        max(0, duration.clampedNanoseconds / 1_000_000)
    }
}
