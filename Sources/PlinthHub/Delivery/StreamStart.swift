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

    /// Whether the subscriber asked to begin with the oldest event held.
    var startsWithOldest: Bool { position == nil && unknown == nil }

    package init(position: Position?, unknown: EventID? = nil) {
        self.position = position
        self.unknown = unknown
    }
}
