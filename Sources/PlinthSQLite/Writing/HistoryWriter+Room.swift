// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Dispatch
import GRDB
import Logging
import PlinthHub
import PlinthStreams
import Synchronization

/// The bound of the file and its log, and a disk that is full.
extension HistoryWriter {
    /// Whether the database has nearly reached its part of the bound: then the oldest events are removed.
    func isFileFull(_ state: State) -> Bool {
        guard let connection = state.connection, connection.isOwn else { return false }
        let most = Int(Double(options.fileBytes - options.logBytes) * 0.95)
        // What is in the log may be new pages of the database.
        guard state.fileBytes + connection.log.bytes > most else { return false }
        let used = try? connection.pool.writeWithoutTransaction { try StoreConnection.usedBytes($0) }
        return (used ?? 0) > most
    }

    /// Looks whether the file is still the one that was opened: what is written into another would be lost.
    func checkIdentity(_ state: inout State) {
        guard let connection = state.connection, connection.isOwn, !state.isReplaced else { return }
        guard connection.identity() != state.identity else { return }
        state.isReplaced = true
        options.logger.error(
            "the history's file was replaced or removed while the hub runs: nothing can be published until it is restarted",
            metadata: ["path": "\(connection.path)"]
        )
    }

    /// Why nothing can be appended now; nil if it can.
    func refusal(_ state: inout State) -> HistoryError? {
        if state.isReplaced {
            return HistoryError(
                .notTaken,
                "the history's file was replaced or removed while the hub runs; nothing was taken; restart the hub"
            )
        }
        if state.isDiskFull {
            return HistoryError(.notTaken, "the disk of the history is full; nothing was taken; free some room")
        }
        guard let connection = state.connection, connection.isOwn, connection.log.bytes > options.logBytes else {
            return nil
        }
        copyLog(&state, empties: true)
        guard connection.log.bytes > options.logBytes else { return nil }
        return HistoryError(
            .notTaken,
            "the log of the history has reached its bound, since another process reads the file; nothing was taken; send "
                + "it again later"
        )
    }

    /// Copies the log into the database if it is large.
    func copyLogIfLarge(_ state: inout State) {
        guard let connection = state.connection, connection.isOwn else { return }
        let bytes = connection.log.bytes
        guard bytes > min(4 << 20, options.logBytes / 4) else { return }
        copyLog(&state, empties: bytes > options.logBytes / 2)
    }

    private func copyLog(_ state: inout State, empties: Bool) {
        guard let connection = state.connection else { return }
        // After a reader of another process was in the way.
        if empties, clock.monotonic() < state.nextCheckpoint { return }
        do {
            if empties {
                // Readers keep the log from beginning anew, so they wait for a moment.
                try gate.withoutReaders(within: .milliseconds(200)) {
                    try connection.pool.writeWithoutTransaction { try connection.checkpoint(empties: true, $0) }
                }
            } else {
                try connection.pool.writeWithoutTransaction { try connection.checkpoint(empties: false, $0) }
            }
        } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
            state.nextCheckpoint = clock.monotonic() + .seconds(1)
        } catch {
            failed(Failure.unknown(error), &state)
        }
    }

    /// Gives up the reserve, and empties the log, after there was no room.
    func makeRoom(_ state: inout State) {
        guard let connection = state.connection, connection.isOwn, let reserve = state.reserve else { return }
        state.reserve?.release()
        // What fails here is the same failure.
        _ = try? connection.pool.writeWithoutTransaction { try connection.checkpoint(empties: true, $0) }
        state.reserve?.restore()
        // Without a reserve before, that it is missing says nothing about the disk.
        if reserve.isThere { state.isDiskFull = !(state.reserve?.isThere ?? true) }
    }

    /// Gives free pages back to a full disk; appending continues once there is room for the reserve again.
    func returnRoom(_ state: inout State) {
        guard state.isDiskFull, let connection = state.connection else { return }
        _ = try? connection.pool.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA incremental_vacuum(1024)")
            try connection.checkpoint(empties: true, db)
        }
        state.reserve?.restore()
        guard state.reserve?.isThere ?? true else { return }
        state.isDiskFull = false
        options.logger.notice("there is room for the history again")
    }
}
#endif
