// SPDX-License-Identifier: Apache-2.0

/// Whose stream it is: what it was granted, and the session that it belongs to.
package final class StreamOwner: Sendable {
    /// What the stream was opened with.
    package let grant: HubGrant
    /// The ID of the browser's session; nil if it was opened without one.
    package let session: String?
    private let standing: @Sendable (StreamOwner) -> Bool

    /// Creates an owner.
    ///
    /// - Parameters:
    ///   - grant: What the stream was opened with.
    ///   - session: The ID of the browser's session. Default: nil.
    ///   - stands: Whether nothing of it has been revoked. Called on the thread that serves the stream, once the stream
    ///     can be found there: whoever revokes ends the streams after that, so none is missed.
    package init(
        _ grant: HubGrant,
        session: String? = nil,
        stands: @escaping @Sendable (StreamOwner) -> Bool = { _ in true }
    ) {
        self.grant = grant
        self.session = session
        standing = stands
    }

    /// Whether nothing of it has been revoked.
    func stands() -> Bool { standing(self) }
}

/// Selects streams by what they receive and by their owner.
package typealias StreamPredicate = @Sendable (Selection, StreamOwner?) -> Bool
