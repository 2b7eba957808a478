// SPDX-License-Identifier: Apache-2.0

/// The subscribers that one thread serves: a reactor's, an event loop's, or, in tests without a socket, one in memory.
///
/// To serve a hub's streams in another way, conform to this and to ``StreamSink``, and drive a ``Distributor``, as
/// `HubMemoryStream` does. `HubService` keeps the groups of each kind: it adds them to the hub, ends and drains them.
package protocol DeliveryGroup: AnyObject, Sendable {
    /// Enqueues events for delivery on the group's own thread.
    ///
    /// Calls come one at a time. They return quickly and call neither the hub nor the history.
    ///
    /// - Parameter entries: Events in order, after those of all earlier calls.
    func enqueue(_ entries: [HistoryEntry])
}

/// A stream to be added to a group.
package struct StreamRequest: Sendable {
    /// The events that it receives.
    package var selection: Selection
    /// Where it begins.
    package var start: LocatedStart
    /// How it is written.
    package var form: StreamForm
    /// Whose it is; nil if everybody may do everything.
    package var owner: StreamOwner?
    /// How long it may last, besides ``StreamOptions/maximumAge``; nil for no limit.
    package var lifetime: Duration?
    /// Called once, when the stream has ended and its connection is closed.
    package var onEnd: @Sendable (StreamEnd) -> Void

    package init(
        selection: Selection,
        start: LocatedStart,
        form: StreamForm,
        owner: StreamOwner? = nil,
        lifetime: Duration? = nil,
        onEnd: @escaping @Sendable (StreamEnd) -> Void
    ) {
        self.selection = selection
        self.start = start
        self.form = form
        self.owner = owner
        self.lifetime = lifetime
        self.onEnd = onEnd
    }
}
