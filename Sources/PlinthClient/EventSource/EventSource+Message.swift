// SPDX-License-Identifier: Apache-2.0

extension EventSource {
    /// What happens on an event source: its events, and the connections that they come from.
    public enum Message: Sendable {
        /// A response arrived that is an event stream: the standard's `open` event.
        case opened(EventSourceResponseHead)

        /// An event.
        case event(Event)

        /// A comment, all that follows the colon, as soon as its line ends.
        ///
        /// Only with ``EventSourceConfiguration/includesComments``.
        case comment(String)

        /// A connection, or an attempt at one, ended, and the next one is made after a while: the standard's `error`
        /// event in the state `connecting`.
        ///
        /// The end for good is no message: the sequence ends, or throws.
        case disconnected(EventSourceError, retryIn: Duration)
    }
}
