// SPDX-License-Identifier: Apache-2.0

extension EventSource {
    /// The HTML standard's ready state: connecting, open, or closed with the reason.
    public enum ReadyState: Sendable, Hashable, CustomStringConvertible {
        /// No stream is open: the source has not connected yet, is connecting, or waits to reconnect.
        case connecting

        /// An event stream is open.
        case open

        /// Closed permanently, or until the next iteration.
        case closed(ClosedReason)

        /// `connecting`, `open` or `closed`, and the reason.
        public var description: String {
            switch self {
            case .connecting: "connecting"
            case .open: "open"
            case .closed(let reason): "closed (\(reason))"
            }
        }
    }

    /// Why an event source is closed.
    public enum ClosedReason: Sendable, Hashable, CustomStringConvertible {
        /// ``EventSource/close()`` was called.
        case closed

        /// The server responded with 204, which tells clients not to reconnect.
        case noContent

        /// All topics of a hub's stream have ended, as ``EventSource/hubUpdates`` and ``EventSource/following(_:)`` notice.
        case ended

        /// The iteration was abandoned or its task cancelled; the next one resumes.
        case iterationEnded

        /// The source failed permanently; the sequence threw an error with this code.
        case failed(EventSourceError.Code)

        /// The reason, from a bounded set.
        public var description: String {
            switch self {
            case .closed: "closed"
            case .noContent: "noContent"
            case .ended: "ended"
            case .iterationEnded: "iterationEnded"
            case .failed(let code): code.description
            }
        }
    }
}
