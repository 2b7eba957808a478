// SPDX-License-Identifier: Apache-2.0

/// Where a stream begins.
public enum StreamStart: Sendable, Hashable {
    /// With what is published from now on.
    case live
    /// With the oldest event held.
    case earliest
    /// After the event with this ID.
    case after(EventID)
}

/// Where a stream begins, as located in history.
package struct LocatedStart: Sendable, Hashable {
    /// The last event that the subscriber has; nil to begin with the oldest event held.
    package var position: Position?
    /// The ID that the subscriber asked for, if the history does not know it: a gap is reported.
    package var unknown: EventID?

    /// The named topics that had ended at or before the position.
    package var ended: [TopicEnd]
    /// Whether these ends are sent: a subscriber that begins live has not received them before.
    package var sendsEnds: Bool
    /// What history has not answered yet; nil if the start is located.
    package var query: StartQuery?

    /// Whether the subscriber asked to begin with the oldest event held.
    var startsWithOldest: Bool { position == nil && unknown == nil && query?.id == nil }

    /// Whether a client that resumes here has everything: all that it asks for are topics whose ends it knows.
    ///
    /// - Parameter selection: What it asks for.
    /// - Returns: Whether it does.
    package func isPastAllEnds(of selection: Selection) -> Bool {
        query == nil && !sendsEnds && selection.isExact && !ended.isEmpty && ended.count >= selection.names
    }

    package init(
        position: Position?,
        unknown: EventID? = nil,
        ended: [TopicEnd] = [],
        sendsEnds: Bool = false,
        query: StartQuery? = nil
    ) {
        self.position = position
        self.unknown = unknown
        self.ended = ended
        self.sendsEnds = sendsEnds
        self.query = query
    }
}

/// What a history is asked about a start.
package struct StartQuery: Sendable, Hashable {
    /// The ID to resume after; nil to begin at ``position``.
    package let id: EventID?
    /// The position at which a live stream begins.
    package let position: Position?

    package init(after id: EventID) {
        self.id = id
        position = nil
    }

    package init(live position: Position) {
        id = nil
        self.position = position
    }

    /// The start, if history has not answered.
    package var unanswered: LocatedStart { LocatedStart(position: position, sendsEnds: id == nil, query: self) }

    /// The start as history located it.
    func start(_ located: Located?, _ ends: [TopicEnd]) -> LocatedStart {
        guard let position = position ?? located?.position else { return LocatedStart(position: nil, unknown: id) }
        return LocatedStart(position: position, ended: ends.filter { $0.position <= position }, sendsEnds: id == nil)
    }
}
