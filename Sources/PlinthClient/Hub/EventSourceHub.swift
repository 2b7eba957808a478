// SPDX-License-Identifier: Apache-2.0

/// The types of a Plinth hub's own events, which ``EventSource/hubUpdates`` and ``EventSource/following(_:)`` interpret.
///
/// Set them as the hub's options of the same names; `hub.json` beside the hub's page has both. The type of an end is
/// always `end`.
public struct EventSourceHub: Sendable, Hashable {
    /// The type of the event that reports a gap.
    ///
    /// Default: `gap`.
    public var gapType: String

    /// The type of the heartbeats, if they are events; these are not delivered.
    ///
    /// Default: nil, for heartbeats that are comments.
    public var heartbeatEvent: String?

    /// Creates the types of a hub's events.
    ///
    /// - Parameters:
    ///   - gapType: The type of the event that reports a gap. Default: `gap`.
    ///   - heartbeatEvent: The type of the heartbeats, if they are events. Default: nil.
    public init(gapType: String = "gap", heartbeatEvent: String? = nil) {
        self.gapType = gapType
        self.heartbeatEvent = heartbeatEvent
    }
}
