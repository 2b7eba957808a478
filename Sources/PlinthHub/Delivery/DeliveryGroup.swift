// SPDX-License-Identifier: Apache-2.0

/// Subscribers that one thread serves: a reactor's, or an event loop's.
package protocol DeliveryGroup: AnyObject, Sendable {
    /// Takes events for delivery, soon and on the group's own thread.
    ///
    /// - Parameter entries: Events in their order, beyond all of earlier calls. Calls come one at a time; they return
    ///   quickly and call nothing of hub or history.
    func enqueue(_ entries: [HistoryEntry])
}

/// A stream on its way into a group.
package struct StreamRequest: Sendable {
    /// What it gets.
    package var selection: Selection
    /// Where it begins.
    package var start: LocatedStart
    /// How it is written.
    package var form: StreamForm
    /// Is told, once, when the stream is over and its connection closed.
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
