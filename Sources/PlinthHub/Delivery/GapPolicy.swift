// SPDX-License-Identifier: Apache-2.0

extension StreamOptions {
    /// What happens to a subscriber that needs events that history no longer holds.
    public struct GapPolicy: Sendable, Hashable {
        let closes: Bool

        /// It receives an event of the type ``StreamOptions/gapType`` and continues with the oldest event held.
        ///
        /// The default.
        public static let tell = GapPolicy(closes: false)
        /// Its stream ends with ``StreamEnd/lagged``.
        ///
        /// A client that reconnects with the same ID is ended again; it has to start anew, live or with the oldest
        /// event held. A stream that began with the oldest event receives gaps, and is not ended, until it has caught
        /// up.
        public static let close = GapPolicy(closes: true)

        /// Whether a gap ends a subscriber's stream.
        ///
        /// Asked where a read of history meets a gap: in `Distributor+History` for a connection, in ``HubUpdates`` in
        /// process.
        ///
        /// - Parameter startsWithOldest: Whether the subscriber began with the oldest event and has not caught up yet.
        ///   Such a subscriber always continues: it would only meet the same gap again.
        /// - Returns: Whether the stream ends with ``StreamEnd/lagged``; otherwise the subscriber receives the gap.
        func ends(startsWithOldest: Bool) -> Bool { closes && !startsWithOldest }
    }
}
