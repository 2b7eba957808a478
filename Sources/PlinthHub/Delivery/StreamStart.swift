// SPDX-License-Identifier: Apache-2.0

/// Where a stream begins.
public enum StreamStart: Sendable, Hashable {
    /// With what is published from now on.
    case live
    /// With the oldest event that is held.
    case earliest
    /// After the event with this ID.
    case after(EventID)
}

/// Where a stream begins, as history knows it.
package struct LocatedStart: Sendable, Hashable {
    /// The last event that the subscriber has; nil to begin with the oldest that is held.
    package var position: Position?
    /// What the subscriber asked for, if that is not in this history: it is told of a gap.
    package var unknown: EventID?

    /// Whether the stream begins with the oldest event that is held, whichever that is.
    var startsWithOldest: Bool { position == nil && unknown == nil }

    package init(position: Position?, unknown: EventID? = nil) {
        self.position = position
        self.unknown = unknown
    }
}
