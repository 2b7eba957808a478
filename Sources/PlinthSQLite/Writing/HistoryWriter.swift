// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Dispatch
import GRDB
import Logging
import PlinthHub
import PlinthStreams
import Synchronization

/// Writes to the tables, one transaction for all appends that wait, and passes on what is committed.
///
/// Its methods run on the thread of its ``AppendQueue``, but for ``snapshot``.
final class HistoryWriter: Sendable {
    struct State {
        var connection: StoreConnection?
        var isClosed = false
        /// What the writer knows; nil if it has to be read again, after an error.
        var store: HistoryStore?
        /// Whether ``MemoryHistory`` continues what is stored.
        var hasStarted = false
        /// The bytes of the database and of its log, as last measured.
        var fileBytes = 0
        var logBytes = 0

        // After errors.

        /// Whether the file has to be opened again, since a sync failed: what the system has is not what the disk has.
        var mustReopen = false
        /// What a transaction changed whose commit failed; and whether it was found to be committed.
        var unsettled: [StoredChange] = []
        var wasCommitted = false
        /// When to try again.
        var nextAttempt = MonotonicTime(nanoseconds: .min)
        /// When to remove entries again: some of what should be removed is damaged.
        var nextRemoval = MonotonicTime(nanoseconds: .min)
        /// When the log may be emptied again: a reader of another process was in the way.
        var nextCheckpoint = MonotonicTime(nanoseconds: .min)
        /// What is given up when the disk is full, so that events can still be removed.
        var reserve: FileReserve?
        /// Whether it was given up: until there is room for it again nothing is appended.
        var isDiskFull = false
        /// Which file was opened; and whether another one is in its place now, so that all would be lost.
        var identity: [UInt64]?
        var isReplaced = false
        /// The error in words, which was logged.
        var failure: String?

        // For the housekeeping.

        /// When ``HistoryStore/running(_:)`` was last stored.
        var storedRunning = MonotonicTime(nanoseconds: 0)
        /// The names of topics that are looked at for limits; nil once all were.
        var sweep: [UInt8]? = []
        /// Whether there may be keys to be deleted.
        var hasOldKeys = true
        /// The difference of both clocks when the history was opened: a jump of the calendar's shows in it.
        var clockOffset: Int64?
        var hasClockJumped = false
    }

    /// What others read.
    struct Snapshot: Sendable {
        var statistics = HistoryStatistics(topics: 0, events: 0, bytes: 0)
        var epochs = HistoryEpochs()
        var pool: DatabasePool?
        /// The path of the database, as SQLite has it.
        var fileName: String?
        var fileBytes = 0
        /// When the oldest entry was published, in nanoseconds since 1970; nil without entries.
        var oldest: Int64?
        /// When a commit last succeeded, in nanoseconds since 1970.
        var lastCommit: Int64?
    }

    let state = Mutex(State())
    let shared = Mutex(Snapshot())
    /// Whether an application's transaction has added entries, and ``catchUp()`` is to be called.
    let isBehind = Atomic(false)
    /// The revocations that the next ``saveRevocations()`` saves.
    let pendingRevocations = Mutex<[PendingRevocation]>([])
    let options: SQLiteHistoryOptions
    let clock: StoreClock
    let recent: MemoryHistory
    let cache: BlockCache
    let gate: ReadGate
    let reopen: (@Sendable () throws -> StoreConnection)?

    /// The most entries removed in one transaction.
    static let step = 512

    /// Creates a writer; `reopen` opens the file again after a failed sync, and is nil for an application's database.
    init(
        options: SQLiteHistoryOptions,
        clock: StoreClock,
        recent: MemoryHistory,
        cache: BlockCache,
        gate: ReadGate,
        reopen: (@Sendable () throws -> StoreConnection)?
    ) {
        self.options = options
        self.clock = clock
        self.recent = recent
        self.cache = cache
        self.gate = gate
        self.reopen = reopen
    }

    var snapshot: Snapshot { shared.withLock { $0 } }

    // MARK: - Opening and closing

    /// Begins with a connection: reads what the tables hold, and begins an epoch.
    ///
    /// - Returns: The position of the last entry.
    func start(_ connection: StoreConnection) throws -> Position {
        try state.withLock { state in
            state.connection = connection
            if connection.isOwn { state.reserve = FileReserve(path: connection.path + "-reserve") }
            do {
                try load(&state, beginsEpoch: true)
            } catch {
                state.connection = nil
                if connection.isOwn { connection.close() }
                throw (error as? DatabaseError).map { SQLiteHistoryError($0, connection.path) } ?? error
            }
            return recent.head
        }
    }

    /// Closes the file; nothing can be appended any more.
    func stop() {
        state.withLock { state in
            if let connection = state.connection {
                _ = try? transaction(&state) { store, db in try store.topics.storeAll(db) }
                if connection.isOwn { close(state.connection ?? connection, afterFailure: state.mustReopen) }
            }
            state.connection = nil
            state.store = nil
            state.isClosed = true
        }
        shared.withLock { $0.pool = nil }
    }

    private func close(_ connection: StoreConnection, afterFailure: Bool) {
        if afterFailure, (try? LogFile.writeAgain(connection.path)) == nil {
            // Closing would copy a log into the database that is not on the disk. The next start does it.
            _ = Unmanaged.passRetained(connection.pool)
            return
        }
        connection.close()
    }

    /// Reads what the tables hold: at the start, and after an error.
    func load(_ state: inout State, beginsEpoch: Bool) throws {
        guard let connection = state.connection, !state.isClosed else {
            throw SQLiteHistoryError(.unusable, "the history is closed")
        }
        let time = clock.read()
        if state.clockOffset == nil { state.clockOffset = time.wall &- time.monotonic.nanoseconds }
        let delivered = state.hasStarted ? recent.head.number : nil
        let (store, ends, own, missed, name) = try connection.pool.writeWithoutTransaction { db in
            if !connection.isOwn, try !db.tableExists("plinth_meta") {
                throw SQLiteHistoryError(
                    .notMigrated,
                    "the database has no tables of a history; call SQLiteHistory.registerMigrations(in:) and migrate"
                )
            }
            var store = try HistoryStore.load(options, time, db)
            let missed = try delivered.map { delivered in
                var decoder = EntryDecoder(store.epochs, time)
                return try decoder.entries(after: delivered, db)
            }
            // Whatever was taken back, its numbers may have been seen.
            store.head = max(store.head, delivered ?? 0)
            if beginsEpoch { try begin(&store, connection, db) }
            let ends = store.ledger.ends(after: .zero)
            return (store, ends, try HistoryStore.ownLimits(db), missed, StoreConnection.fileName(db))
        }
        cache.start(removed: store.removed)
        passOn(missed ?? [], of: store, &state)
        if !state.hasStarted || state.mustReopen {
            // What is in memory may not be what was found in the file.
            recent.continueStored(store.epochs, head: Position(store.head), ends: ends)
        }
        for (topic, limits) in own { recent.set(limits, of: topic) }
        state.hasStarted = true
        state.mustReopen = false
        state.nextAttempt = MonotonicTime(nanoseconds: .min)
        state.sweep = []
        state.hasOldKeys = true
        state.store = store
        (state.fileBytes, state.logBytes) = connection.measure()
        if state.identity == nil { state.identity = connection.identity() }
        shared.withLock { $0.fileName = name }
        share(state)
    }

    /// Begins an epoch, synced whatever the setting: its IDs are in use once anything is appended.
    private func begin(_ store: inout HistoryStore, _ connection: StoreConnection, _ db: Database) throws {
        try connection.withFullSync(db) {
            try db.inTransaction(.immediate) {
                try store.beginEpoch(db)
                return .commit
            }
            // What a failed sync left in the system's memory only is written again.
            if connection.isOwn { try connection.checkpoint(empties: true, db) }
        }
        if connection.isOwn { try connection.setSync(options.sync, db) }
    }

    /// Delivers what was found in the tables after an error.
    private func passOn(_ missed: [HistoryEntry], of store: HistoryStore, _ state: inout State) {
        let last = state.unsettled.last { if case .insert = $0 { true } else { false } }
        state.wasCommitted = if case .insert(let entry)? = last { store.head >= entry.position.number } else { false }
        // Some of its entries may have been removed by the same transaction: they are not among those found.
        if state.wasCommitted { recent.apply(state.unsettled) }
        state.unsettled = []
        recent.apply(missed.map { .insert($0) })
    }

    /// Brings the ``snapshot`` up to date.
    func share(_ state: State) {
        guard let store = state.store, let connection = state.connection else { return }
        var statistics = store.ledger.statistics
        statistics.events = store.counts.events
        statistics.topics = store.counts.topics
        statistics.bytes = store.counts.bytes
        statistics.limitedTopics = store.limits.count
        let fileBytes = state.fileBytes + state.logBytes
        let oldest = store.oldest
        shared.withLock { snapshot in
            snapshot.statistics = statistics
            snapshot.epochs = store.epochs
            snapshot.pool = connection.pool
            snapshot.fileBytes = fileBytes
            snapshot.oldest = oldest
        }
    }
}
#endif
