// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import Logging
import PlinthHub
import PlinthStreams
import Synchronization

extension HistoryWriter {
    /// A transaction that failed, and how.
    enum Failure: Error {
        /// It was rolled back.
        case notCommitted(any Error)
        /// The commit itself failed: the system may still write it.
        case unknown(any Error)
    }

    /// An error while entries were removed.
    struct RemovalFailure: Error {
        let reason: any Error
    }

    /// Runs a transaction, and passes on what it changed.
    ///
    /// - Parameters:
    ///   - state: The writer's state.
    ///   - isSynced: Whether it is on the disk on return, whatever the setting. Default: false.
    ///   - body: What it does.
    /// - Returns: The closure's result.
    /// - Throws: ``Failure``; what the writer knows is then read again before the next one.
    func transaction<Result>(
        _ state: inout State,
        isSynced: Bool = false,
        _ body: (inout HistoryStore, Database) throws -> Result
    ) throws -> Result {
        try prepare(&state)
        guard var store = state.store.take(), let connection = state.connection else {
            throw Failure.notCommitted(SQLiteHistoryError(.unusable, "the history is closed"))
        }
        var hasRemoved = false
        do {
            let result = try connection.pool.writeWithoutTransaction { db in
                guard isSynced else { return try run(body, &store, &hasRemoved, connection, db) }
                return try connection.withFullSync(db) { try run(body, &store, &hasRemoved, connection, db) }
            }
            let hasWritten = !store.changes.isEmpty || hasRemoved
            store.changes = []
            state.store = store
            (state.fileBytes, state.logBytes) = connection.measure()
            state.failure = nil
            if hasWritten { shared.withLock { $0.lastCommit = clock.wall() } }
            return result
        } catch {
            if case Failure.unknown = error { state.unsettled = store.changes }
            failed(error, &state)
            throw error
        }
    }

    /// Begins a transaction, commits it, and passes on what it changed.
    private func run<Result>(
        _ body: (inout HistoryStore, Database) throws -> Result,
        _ store: inout HistoryStore,
        _ hasRemoved: inout Bool,
        _ connection: StoreConnection,
        _ db: Database
    ) throws -> Result {
        let result: Result
        var removal: [UInt64]?
        do {
            try db.cachedStatement(sql: "BEGIN IMMEDIATE TRANSACTION").execute()
            if !connection.isOwn { try store.absorb(clock.read(), db) }
            result = try body(&store, db)
            let changed = store.blocks.keys
            try store.finishTransaction(db)
            if store.hasRemoved {
                store.hasRemoved = false
                removal = Array(changed)
                cache.beginRemoval(through: store.removed)
            }
        } catch {
            if db.isInsideTransaction { try? db.rollback() }
            throw Failure.notCommitted(error)
        }
        defer { if let removal { cache.endRemoval(removal) } }
        do {
            try db.cachedStatement(sql: "COMMIT TRANSACTION").execute()
        } catch {
            if db.isInsideTransaction { try? db.rollback() }
            throw Failure.unknown(error)
        }
        // In history before it is delivered, and delivered before it is acknowledged; here, since an application's
        // next transaction delivers what it finds.
        recent.apply(store.changes)
        hasRemoved = removal != nil
        return result
    }

    /// Removes what is due within a transaction, unless that has failed lately.
    func removeDue(
        _ store: inout HistoryStore,
        _ budget: inout Int,
        now: StoreClock.Reading?,
        isFileFull: Bool,
        isAllowed: Bool,
        _ db: Database
    ) throws {
        guard isAllowed else { return }
        do {
            try store.removeDue(&budget, now: now, isFileFull: isFileFull, db)
        } catch {
            throw RemovalFailure(reason: error)
        }
    }

    /// Reads again what the writer knows, after an error.
    func prepare(_ state: inout State) throws {
        guard state.store == nil else { return }
        guard !state.isClosed else {
            throw Failure.notCommitted(SQLiteHistoryError(.unusable, "the history is closed"))
        }
        guard clock.monotonic() >= state.nextAttempt else {
            throw Failure.notCommitted(SQLiteHistoryError(.unusable, state.failure ?? "the history has failed"))
        }
        do {
            if state.mustReopen, let reopen {
                // Before anything is copied into the database: closing does that.
                if let connection = state.connection { try LogFile.writeAgain(connection.path) }
                state.connection?.close()
                state.connection = nil
                state.connection = try reopen()
            }
            try load(&state, beginsEpoch: state.mustReopen)
        } catch {
            failed(Failure.notCommitted(error), &state)
            throw Failure.notCommitted(error)
        }
    }

    /// Takes note of an error.
    func failed(_ failure: any Error, _ state: inout State) {
        state.store = nil
        // Not at once: each attempt reads all that is remembered.
        state.nextAttempt = clock.monotonic() + .seconds(1)
        var error = failure
        switch failure {
        case Failure.notCommitted(let reason): error = reason
        case Failure.unknown(let reason):
            error = reason
            state.mustReopen = reopen != nil
        default: break
        }
        if let removal = error as? RemovalFailure {
            error = removal.reason
            // Appending continues without it.
            if (error as? DatabaseError)?.isDamage ?? false {
                state.nextRemoval = clock.monotonic() + .seconds(60)
                state.nextAttempt = MonotonicTime(nanoseconds: .min)
            }
        }
        if let error = error as? DatabaseError {
            if error.resultCode == .SQLITE_IOERR { state.mustReopen = reopen != nil }
            if error.resultCode == .SQLITE_FULL { makeRoom(&state) }
        }
        let text =
            (error as? DatabaseError).map {
                SQLiteHistoryError($0, state.connection?.path ?? "the history").description
            } ?? "\(error)"
        if text != state.failure {
            options.logger.error("cannot write the history", metadata: ["reason": "\(text)"])
        }
        state.failure = text
    }

    /// The error for a publisher.
    func publisherError(_ failure: any Error, _ state: State) -> HistoryError {
        let reason = state.failure ?? "the history cannot be written"
        if case Failure.unknown = failure {
            return HistoryError(.outcomeUnknown, "\(reason); the events may have been taken")
        }
        return HistoryError(.notTaken, "\(reason); nothing was taken")
    }
}
#endif
