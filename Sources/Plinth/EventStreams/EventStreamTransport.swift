// SPDX-License-Identifier: Apache-2.0

/// Writes the bytes of an application's event streams to their clients.
///
/// To serve them in another way, conform to this, and for each stream call `attach`, `start`, then `pull` and `tick`, and
/// `disconnect` and `finished` at the end, as `ApplicationStreamHandler` does. A hub's streams have no channel: see
/// `DeliveryGroup`.
///
/// The channel buffers events and never writes. The transport pulls bytes when its socket is writable
/// (``EventChannel/pull(into:limit:now:)``), so the socket's back-pressure reaches the stream.
package protocol EventStreamTransport: AnyObject, Sendable {
    /// Notifies the transport that a channel has something to pull.
    ///
    /// Called from any thread, never under the channel's lock, and not again until a pull has returned that there is no
    /// more. Exception: called once more when the client lags and its buffer disconnects, as the transport may then be
    /// waiting for the socket, and once more for a sleep that ends before all others. The transport pulls soon, on its
    /// own executor, and reads ``EventChannel/takeSleepDeadline()`` where it cannot. One transport may serve many channels.
    func wake(_ channel: EventChannel)
    /// The time by which the channel's deadlines are measured.
    var now: MonotonicTime { get }
    /// Notifies the transport that a sleep has begun or was cancelled. Default: does nothing.
    func sleepersChanged()
}

extension EventStreamTransport {
    package func sleepersChanged() {}
}

/// Serves one channel on behalf of a transport that has many.
package protocol EventStreamConnection: AnyObject {
    /// Pulls the channel's bytes and writes them.
    func pump(now: MonotonicTime)
}

/// The result of a pull.
package enum EventStreamPull: Sendable, Equatable {
    /// Bytes were appended.
    ///
    /// `more` is true if the transport has to pull again, for events beyond the limit or for the end. Otherwise the
    /// channel wakes the transport.
    case bytes(more: Bool)
    /// Nothing to write now. The channel wakes the transport.
    case idle
    /// The stream has ended: nothing was appended, nothing will be, and the body ends here.
    case end(StreamEnd)
}
