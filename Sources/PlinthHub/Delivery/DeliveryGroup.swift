// SPDX-License-Identifier: Apache-2.0

/// The subscribers that one thread serves: a reactor's, or an event loop's.
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
    /// Called once, when the stream has ended and its connection is closed.
    package var onEnd: @Sendable (StreamEnd) -> Void

    package init(
        selection: Selection,
        start: LocatedStart,
        form: StreamForm,
        onEnd: @escaping @Sendable (StreamEnd) -> Void
    ) {
        self.selection = selection
        self.start = start
        self.form = form
        self.onEnd = onEnd
    }
}
