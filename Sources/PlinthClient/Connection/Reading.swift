// SPDX-License-Identifier: Apache-2.0

/// What an iteration reads, and so which events its machine acts upon.
enum Reading: Sendable {
    /// Events alone.
    case events
    /// Events, comments, and openings and ends of connections.
    case messages
    /// A hub's events, gaps and ends.
    case hubUpdates
    /// A state, and the events after its mark.
    case following

    /// Whether the stream is a hub's, so that some events have a meaning to the client.
    var isOfHub: Bool {
        switch self {
        case .events, .messages: false
        case .hubUpdates, .following: true
        }
    }
}
