// SPDX-License-Identifier: Apache-2.0

import PlinthEvents

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

    /// The time without a write after which a comment is sent, up to a tenth earlier; nil for none.
    ///
    /// 10 s unless set.
    public var heartbeat: Duration?
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

    /// Options.
    ///
    /// - Parameters:
    ///   - heartbeat: The time without a write after which a comment is sent; nil for none.
    ///   - writeTimeout: How long a connection may take nothing of what waits for it; nil for as long as it likes.
    ///   - maximumAge: How long a stream lasts at most; nil for no limit.
    ///   - gapPolicy: What happens to a subscriber that needs events which history no longer holds.
    ///   - gapType: The type of the event that tells of a gap: not empty, not `message`, without line breaks.
    public init(
        heartbeat: Duration? = .seconds(10),
        writeTimeout: Duration? = .seconds(60),
        maximumAge: Duration? = nil,
        gapPolicy: GapPolicy = .tell,
        gapType: String = "gap"
    ) {
        self.heartbeat = heartbeat
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
        return [gapType]
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
