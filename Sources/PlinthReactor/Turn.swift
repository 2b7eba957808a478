// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

/// What a thread does from one wait to the next, as an event loop does: it handles everything that has happened
/// meanwhile, and does not wait in between.
///
/// A reactor's wake-up is postponed to the end of its caller's turn, so that it is woken once for all events that the
/// turn publishes, and all sockets that it hands off.
package struct Turn: Sendable {
    package typealias ID = ObjectIdentifier

    /// Identifies what has the turn: two turns at once have different IDs.
    package let id: ID
    /// Runs a closure at the end of the turn, on the same thread.
    package let atEnd: @Sendable (@escaping @Sendable () -> Void) -> Void

    package init(id: ID, atEnd: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void) {
        self.id = id
        self.atEnd = atEnd
    }
}

#endif
