// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Foundation
import GRDB
import PlinthHub
import Synchronization

/// A revocation that waits to be saved.
struct PendingRevocation: Sendable {
    let revocation: HubRevocation
    /// Revocations that are kept until then, or less, are removed.
    let now: Date
    let continuation: CheckedContinuation<Void, any Error>
}

extension HistoryWriter {
    /// The revocations that are stored.
    func revocations() throws -> [HubRevocation] {
        try state.withLock { state in
            try requireOpen(state)
            try? prepare(&state)
            guard state.store != nil, let connection = state.connection else {
                throw SQLiteHistoryError(.unusable, state.failure ?? "the history cannot be read")
            }
            do {
                return try connection.pool.writeWithoutTransaction { try StoredRevocation.all(connection.path, $0) }
            } catch let error as DatabaseError {
                throw SQLiteHistoryError(error, connection.path)
            }
        }
    }

    /// Saves the revocations that wait, in one transaction, and answers them.
    func saveRevocations() {
        let pending = pendingRevocations.withLock { all in
            defer { all = [] }
            return all
        }
        let result = Result { try save(pending) }
        for one in pending { one.continuation.resume(with: result) }
    }

    private func save(_ pending: [PendingRevocation]) throws {
        guard let now = pending.map(\.now).max() else { return }
        try state.withLock { state in
            try requireOpen(state)
            // Appends learn it within a second; a revocation that is lost leaves a hole.
            checkIdentity(&state)
            guard !state.isReplaced else {
                throw SQLiteHistoryError(
                    .unusable,
                    "the history's file was replaced or removed while the hub runs: restart the hub, and revoke again"
                )
            }
            do {
                try transaction(&state, isSynced: true) { _, db in
                    for one in pending { try StoredRevocation.write(one.revocation, db) }
                    try StoredRevocation.deleteOld(now, limit: Self.step, db)
                }
            } catch {
                let outcome = if case Failure.unknown = error { "may not be saved" } else { "is not saved" }
                let reason = state.failure ?? "the history cannot be written"
                throw SQLiteHistoryError(.unusable, "\(reason); the revocation \(outcome): revoke again")
            }
            share(state)
        }
    }

    private func requireOpen(_ state: State) throws {
        guard !state.isClosed else { throw SQLiteHistoryError(.unusable, "the history is closed") }
        guard state.hasStarted else {
            throw SQLiteHistoryError(.unusable, "the history is not open yet: create its hub first")
        }
    }
}
#endif
