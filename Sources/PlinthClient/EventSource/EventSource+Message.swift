// SPDX-License-Identifier: Apache-2.0

extension EventSource {
    /// A message of an event source: an event, a comment, or a change of its connection.
    public enum Message: Sendable {
        /// An event stream opened: the HTML standard's `open` event.
        case opened(EventSourceResponseHead)

        /// An event.
        case event(Event)

        /// A comment, all that follows the colon, delivered when its line ends.
        ///
        /// Only with ``EventSourceConfiguration/includesComments``.
        case comment(String)

        /// A connection or attempt ended, and the next attempt follows after the delay: the HTML standard's `error`
        /// event in the state `connecting`.
        ///
        /// A permanent end is not a message: the sequence ends or throws.
        case disconnected(EventSourceError, retryIn: Duration)
    }
}
