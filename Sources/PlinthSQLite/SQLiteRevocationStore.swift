// SPDX-License-Identifier: Apache-2.0

#if SQLite
#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif
public import PlinthHub
import Synchronization

/// Keeps revocations in the tables of a ``SQLiteHistory``, where a restart and a power cut do not undo them.
///
/// ```swift
/// let history = SQLiteHistory(path: "hub.sqlite")
/// let hub = try await Hub(history: history)
/// let revocations = try await HubRevocations(
///     store: SQLiteRevocationStore(history),
///     maximumLifetime: .seconds(86_400)
/// )
/// ```
///
/// It can be used once the history's hub was created, until the history is closed. Copies of the file
/// (``SQLiteHistoryFile/copy(to:isChecked:progress:)``) have the revocations too. They are no events: purging topics and
/// the limits of the history do not remove them.
public struct SQLiteRevocationStore: RevocationStore {
    private let history: SQLiteHistory

    /// Creates a store in a history's tables.
    ///
    /// - Parameter history: The history, with a file of its own or in an application's database.
    public init(_ history: SQLiteHistory) {
        self.history = history
    }

    /// True.
    public var isLasting: Bool { true }

    /// All revocations that were saved and have not been removed.
    ///
    /// - Throws: ``SQLiteHistoryError`` with the code `damaged` if any of them cannot be read: whoever was revoked would get
    ///   in again if it were left out. With the code `unusable` if the history is not open, or the file cannot be read.
    public func revocations() async throws -> [HubRevocation] {
        let writer = history.writer
        return try await history.queue.run { try writer.revocations() }
    }

    /// Saves a revocation, in place of one of the same name and issuer, and removes those that are no longer kept, at most
    /// 512 at a time.
    ///
    /// On return it is on the disk, also with ``SQLiteHistoryOptions/Sync/normal`` and whatever an application has set
    /// for its database. Revocations that arrive together share one transaction, and wait for appends as these wait for
    /// them.
    ///
    /// - Throws: ``SQLiteHistoryError`` with the code `unusable`; the revocation is then not saved, or, if the message
    ///   says so, may be.
    public func save(_ revocation: HubRevocation, now: Date) async throws {
        let (queue, writer) = (history.queue, history.writer)
        try await withCheckedThrowingContinuation { continuation in
            let pending = PendingRevocation(revocation: revocation, now: now, continuation: continuation)
            let isFirst = writer.pendingRevocations.withLock { all in
                all.append(pending)
                return all.count == 1
            }
            if isFirst { queue.add { writer.saveRevocations() } }
        }
    }
}
#endif
