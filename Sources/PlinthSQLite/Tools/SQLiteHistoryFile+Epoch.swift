// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
public import PlinthHub

extension SQLiteHistoryFile {
    /// Begins an epoch, so that two copies of the file never give the same ID to different events.
    ///
    /// A hub does so each time it opens the file. For a copy of a machine or of a disk whose hub does not restart by
    /// itself, and to have it done before anything else uses the copy. IDs given so far stay valid in each copy; those
    /// that one copy gives from now on are unknown to the others, which answer them with a gap. An epoch that has given
    /// no ID is replaced by the next.
    ///
    /// - Returns: The epoch; its IDs begin with its token.
    /// - Throws: ``SQLiteHistoryError`` if there is no history, another process uses it, or it cannot be written;
    ///   `CancellationError`.
    public func beginEpoch() async throws -> HistoryEpochs.Epoch {
        try await HistoryFileAccess.change(path) { connection, options in
            try await connection.pool.writeWithoutTransaction { db in
                var store = try HistoryStore.load(options, StoreClock.system.read(), db)
                try db.inTransaction(.immediate) {
                    try store.beginEpoch(db)
                    return .commit
                }
                return store.epochs.current
            }
        }
    }
}
#endif
