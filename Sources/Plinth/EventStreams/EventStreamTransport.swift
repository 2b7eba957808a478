// SPDX-License-Identifier: Apache-2.0

/// How the bytes of one event stream reach its client: the seam between streams and sockets.
///
/// The channel holds events and never writes; the transport asks for bytes when its socket has room
/// (``EventChannel/pull(into:limit:now:)``), so that the socket's own back-pressure is the stream's.
package protocol EventStreamTransport: AnyObject, Sendable {
    /// A channel has something to pull.
    ///
    /// Called from any thread, never under the channel's lock, and not again until a pull has said that there is no more;
    /// but once more when the client lags behind a buffer that disconnects, since a transport may be waiting for room then.
    /// The transport pulls soon, on an executor of its own. One transport may serve many channels.
    func wake(_ channel: EventChannel)
}

/// Whoever serves one channel for a transport of many.
package protocol EventStreamConnection: AnyObject {
    /// Pulls and writes.
    func pump(now: MonotonicTime)
}

/// What a pull gave.
package enum EventStreamPull: Sendable, Equatable {
    /// Bytes were appended.
    ///
    /// `more` says whether to pull again: other events wait, because the limit was reached, or the end does. Otherwise the
    /// transport will be woken.
    case bytes(more: Bool)
    /// There is nothing now. The transport will be woken.
    case idle
    /// The stream is over: nothing was appended and nothing will be. The body ends here.
    case end(StreamEnd)
}
