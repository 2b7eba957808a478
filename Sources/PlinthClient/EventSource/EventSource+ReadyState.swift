// SPDX-License-Identifier: Apache-2.0

extension EventSource {
    /// The standard's ready state: connecting, open, or closed with the reason.
    public enum ReadyState: Sendable, Hashable, CustomStringConvertible {
        /// There is no connection: the first has not been made, or the next is being made or waited for.
        case connecting

        /// A response arrived that is an event stream.
        case open

        /// Closed for good, or until it is iterated again.
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

        /// The server answered with 204, which tells clients to stay away.
        case noContent

        /// The iteration was left, or its task cancelled. Another one resumes.
        case iterationEnded

        /// It failed for good; the sequence threw the error that has this code.
        case failed(EventSourceError.Code)

        /// The reason in a few words, from a bounded set.
        public var description: String {
            switch self {
            case .closed: "closed"
            case .noContent: "noContent"
            case .iterationEnded: "iterationEnded"
            case .failed(let code): code.description
            }
        }
    }
}
