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
/// Its methods run on the thread of its ``AppendQueue``; ``connection`` is read by others too.
final class HistoryWriter: Sendable {
    private struct State {
        var connection: StoreConnection?
        /// What the writer knows; nil if it has to be read again, after an error.
        var store: HistoryStore?
        /// When the log may be emptied again.
        var nextCheckpoint = MonotonicTime(nanoseconds: .min)
        /// The bytes of the database and of its log, as last measured.
        var fileBytes = 0
        var logBytes = 0
        /// Whether ``MemoryHistory`` continues what is stored.
        var hasStarted = false
        /// Whether the file has to be opened again, since a sync failed: what the system has is not what the disk has.
        var mustReopen = false
        /// After an error: when to try again.
        var nextAttempt = MonotonicTime(nanoseconds: .min)
        var failure: String?
        /// When ``HistoryStore/running(_:)`` was last stored.
        var storedRunning = MonotonicTime(nanoseconds: 0)
        /// The names of topics that are looked at for limits; nil once all were.
        var sweep: [UInt8]? = []
        /// The difference of both clocks when the history was opened: a jump of the calendar's shows in it.
        var clockOffset: Int64?
        var hasClockJumped = false
        /// What is given up when the disk is full, so that events can still be removed.
        var reserve: FileReserve?
    }

    /// What others read.
    struct Snapshot: Sendable {
        var statistics = HistoryStatistics(topics: 0, events: 0, bytes: 0)
        var epochs = HistoryEpochs()
        var pool: DatabasePool?
        var fileBytes = 0
        /// When the oldest entry was published, in nanoseconds since 1970; nil without entries.
        var oldest: Int64?
        /// When a commit last succeeded, in nanoseconds since 1970.
        var lastCommit: Int64?
    }

    private let state = Mutex(State())
    private let published = Mutex(Snapshot())
    private let options: SQLiteHistoryOptions
    private let clock: StoreClock
    private let recent: MemoryHistory
    private let cache: BlockCache
    private let gate: ReadGate
    private let reopen: (@Sendable () throws -> StoreConnection)?

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

    var snapshot: Snapshot { published.withLock { $0 } }

    // MARK: - Opening

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

    private func load(_ state: inout State, beginsEpoch: Bool) throws {
        guard let connection = state.connection else { throw SQLiteHistoryError(.unusable, "the history is closed") }
        let time = clock.read()
        if state.clockOffset == nil { state.clockOffset = time.wall &- time.monotonic.nanoseconds }
        let (store, ends, own, missed) = try connection.pool.writeWithoutTransaction { db in
            if !connection.isOwn, try !db.tableExists("plinth_meta") {
                throw SQLiteHistoryError(
                    .notMigrated,
                    "the database has no tables of a history; call SQLiteHistory.registerMigrations(in:) and migrate"
                )
            }
            var store = try HistoryStore.load(options, time, db)
            // What a transaction added whose outcome was unknown.
            let before = state.hasStarted ? recent.head : nil
            if beginsEpoch {
                // Whatever the setting: IDs of this epoch are in use once anything is appended.
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
            var missed: [HistoryEntry] = []
            if let before {
                var decoder = EntryDecoder(store.epochs, time)
                missed = try decoder.entries(after: before.number, db)
            }
            let ends = store.ledger.ends(after: .zero)
            return (store, ends, try HistoryStore.ownLimits(db), missed)
        }
        cache.start(removed: store.removed)
        state.store = store
        (state.fileBytes, state.logBytes) = connection.measure()
        state.mustReopen = false
        state.nextAttempt = MonotonicTime(nanoseconds: .min)
        if state.hasStarted {
            recent.begin(store.epochs)
        } else {
            recent.continueStored(store.epochs, head: Position(store.head), ends: ends)
            state.hasStarted = true
        }
        Self.apply(own, to: recent)
        recent.insert(missed)
        publish(state)
    }

    private static func apply(_ own: [(topic: Topic, limits: TopicLimits)], to recent: MemoryHistory) {
        for (topic, limits) in own { recent.set(limits, of: topic) }
    }

    private func publish(_ state: State) {
        guard let store = state.store, let connection = state.connection else { return }
        var statistics = store.ledger.statistics
        statistics.events = store.counts.events
        statistics.topics = store.counts.topics
        statistics.bytes = store.counts.bytes
        statistics.limitedTopics = store.limits.count
        let fileBytes = state.fileBytes + state.logBytes
        let oldest = store.oldest
        published.withLock { snapshot in
            snapshot.statistics = statistics
            snapshot.epochs = store.epochs
            snapshot.pool = connection.pool
            snapshot.fileBytes = fileBytes
            snapshot.oldest = oldest
        }
    }

    /// Closes the file; nothing can be appended any more.
    func stop() {
        state.withLock { state in
            if let connection = state.connection {
                _ = try? transaction(&state) { store, db in try store.topics.storeAll(db) }
                if connection.isOwn { connection.close() }
            }
            state.connection = nil
            state.store = nil
        }
        published.withLock { $0.pool = nil }
    }

    // MARK: - Transactions

    /// A transaction that failed, and how.
    private enum Failure: Error {
        /// It was rolled back.
        case notCommitted(any Error)
        /// The commit itself failed: the system may still write it.
        case unknown(any Error)
    }

    /// Runs a transaction.
    ///
    /// - Throws: ``Failure``; what the writer knows is then read again before the next one.
    private func transaction<Result>(
        _ state: inout State,
        _ body: (inout HistoryStore, Database) throws -> Result
    ) throws -> Result {
        try prepare(&state)
        guard var store = state.store.take(), let connection = state.connection else {
            throw Failure.notCommitted(SQLiteHistoryError(.unusable, "the history is closed"))
        }
        var absorbed: [HistoryEntry] = []
        var removal: [UInt64]?
        do {
            let result = try connection.pool.writeWithoutTransaction { db in
                let result: Result
                do {
                    try db.cachedStatement(sql: "BEGIN IMMEDIATE TRANSACTION").execute()
                    if !connection.isOwn { absorbed = try store.absorb(clock.read(), db) }
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
                return result
            }
            state.store = store
            (state.fileBytes, state.logBytes) = connection.measure()
            recent.insert(absorbed)
            state.failure = nil
            published.withLock { $0.lastCommit = clock.wall() }
            return result
        } catch {
            failed(error, &state)
            throw error
        }
    }

    /// Reads again what the writer knows, after an error.
    private func prepare(_ state: inout State) throws {
        guard state.store == nil else { return }
        guard clock.monotonic() >= state.nextAttempt else {
            throw Failure.notCommitted(SQLiteHistoryError(.unusable, state.failure ?? "the history has failed"))
        }
        do {
            if state.mustReopen, let reopen {
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

    private func failed(_ failure: any Error, _ state: inout State) {
        var error = failure
        switch failure {
        case Failure.notCommitted(let reason): error = reason
        case Failure.unknown(let reason):
            error = reason
            state.mustReopen = reopen != nil
        default: break
        }
        if let error = error as? DatabaseError {
            if error.resultCode == .SQLITE_IOERR { state.mustReopen = reopen != nil }
            if error.resultCode == .SQLITE_FULL { state.reserve?.release() }
        }
        state.store = nil
        // Not at once: each attempt reads all that is remembered.
        state.nextAttempt = clock.monotonic() + .seconds(1)
        let text =
            (error as? DatabaseError).map {
                SQLiteHistoryError($0, state.connection?.path ?? "the history").description
            } ?? "\(error)"
        if text != state.failure {
            options.logger.error("cannot write the history", metadata: ["reason": "\(text)"])
        }
        state.failure = text
    }

    /// What a publisher is told.
    private func publisherError(_ failure: any Error, _ state: State) -> HistoryError {
        let reason = state.failure ?? "the history cannot be written"
        if case Failure.unknown = failure {
            return HistoryError(.outcomeUnknown, "\(reason); the events may have been taken")
        }
        return HistoryError(.notTaken, "\(reason); nothing was taken")
    }

    // MARK: - Appending

    /// Commits appends and answers them.
    func commit(_ appends: [PendingAppend]) {
        state.withLock { state in
            var batch = AppendBatch()
            do {
                let time = clock.read()
                let isFull = isFileFull(state)
                try transaction(&state) { store, db in
                    // Not before: until then an append that waits too long is not taken.
                    let commands = try InsertCommands(db)
                    for append in appends where append.take() {
                        try batch.add(append, to: &store, at: time, commands, db)
                    }
                    var budget = batch.entries.count * 2 + 16
                    try store.removeDue(&budget, now: nil, isFileFull: isFull, db)
                }
            } catch {
                guard case Failure.unknown = error, settle(batch, &state) else {
                    let error = publisherError(error, state)
                    for append in appends { append.finish(.failure(error)) }
                    return
                }
            }
            for topic in batch.dropped { recent.open(topic) }
            // In history before it is delivered, and delivered before it is acknowledged.
            recent.insert(batch.entries)
            publish(state)
            batch.answer()
            checkpointIfLarge(&state)
        }
    }

    /// Finds out whether a transaction was committed whose commit failed: the file is opened again, as after a crash.
    ///
    /// - Returns: Whether its entries are in history.
    private func settle(_ batch: AppendBatch, _ state: inout State) -> Bool {
        guard state.mustReopen, let last = batch.entries.last else { return false }
        state.nextAttempt = MonotonicTime(nanoseconds: .min)
        guard (try? prepare(&state)) != nil else { return false }
        return recent.head >= last.position
    }

    /// Delivers what an application's transactions have added.
    func catchUp() {
        state.withLock { state in
            guard state.connection != nil else { return }
            // A failure is logged; the next transaction catches up.
            try? transaction(&state) { _, _ in }
            publish(state)
        }
    }

    private func isFileFull(_ state: State) -> Bool {
        guard let connection = state.connection, connection.isOwn else { return false }
        let most = Int(Double(options.fileBytes - options.logBytes) * 0.95)
        guard state.fileBytes > most else { return false }
        let used = try? connection.pool.writeWithoutTransaction { try StoreConnection.usedBytes($0) }
        return (used ?? 0) > most
    }

    // MARK: - The log

    private func checkpointIfLarge(_ state: inout State) {
        guard let connection = state.connection, connection.isOwn else { return }
        let bytes = connection.log.bytes
        guard bytes > min(4 << 20, options.logBytes / 4) else { return }
        let empties = bytes > options.logBytes / 2
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

    // MARK: - Housekeeping

    /// The most entries removed in one transaction.
    private static let step = 512

    /// Removes what limits and ages no longer allow, and stores what may be stored late.
    ///
    /// - Returns: Whether there is more to remove.
    func keepHouse() -> Bool {
        state.withLock { state in
            guard state.connection != nil else { return false }
            do {
                try prepare(&state)
                let time = clock.read()
                let ageing = isClockSteady(time, &state) ? time : nil
                let isFull = isFileFull(state)
                let sweep = state.sweep
                let storesRunning = time.monotonic.nanoseconds - state.storedRunning.nanoseconds > 10_000_000_000
                // No copy of the store, which would be changed in its place.
                guard sweep != nil || isFull || state.store?.needsHouseKeeping(storesRunning: storesRunning) ?? false
                else {
                    publish(state)
                    return false
                }
                let (isDone, next) = try transaction(&state) { store, db in
                    var budget = Self.step
                    let next = try sweep.flatMap { try store.sweep(after: $0, time, db) }
                    try store.removeDue(&budget, now: ageing, isFileFull: isFull, db)
                    let areStored = try store.topics.storeSome(Self.step, db)
                    try store.findOldest(db)
                    if storesRunning { try store.forgetRecords(time, db) }
                    return (budget > 0 && areStored, next)
                }
                state.sweep = next
                state.reserve?.restore()
                if storesRunning { state.storedRunning = time.monotonic }
                publish(state)
                return !isDone || next != nil
            } catch {
                return false
            }
        }
    }

    /// Whether the calendar's clock has run as the other one: ages mean nothing after it was set.
    private func isClockSteady(_ time: StoreClock.Reading, _ state: inout State) -> Bool {
        let offset = time.wall &- time.monotonic.nanoseconds
        let difference = offset.subtractingReportingOverflow(state.clockOffset ?? offset)
        let isSteady = !difference.overflow && abs(difference.partialValue) < 300_000_000_000
        if isSteady == state.hasClockJumped {
            state.hasClockJumped = !isSteady
            if isSteady {
                options.logger.notice("the system's clock is as before: events expire by age again")
            } else {
                options.logger.warning(
                    "the system's clock has jumped by more than 5 minutes: no event expires by age until it is back, or the process restarts",
                    metadata: ["seconds": "\(difference.partialValue / 1_000_000_000)"]
                )
            }
        }
        return isSteady
    }

    // MARK: - Operating

    /// One step of purging a topic.
    ///
    /// - Returns: The number of entries removed, and whether the topic has no more.
    func purge(_ topic: Topic) throws -> (removed: Int, isDone: Bool) {
        try state.withLock { state in
            do {
                let result = try transaction(&state) { store, db -> (removed: Int, isDone: Bool) in
                    var removed = try store.removeEvents(of: topic, limit: Self.step, db)
                    let isDone = removed < Self.step
                    if isDone {
                        try store.removeLimits(of: topic, db)
                        if try store.removeEnd(of: topic, db) { removed += 1 }
                    }
                    return (removed, isDone)
                }
                if result.isDone { recent.forget(topic) }
                publish(state)
                return result
            } catch {
                throw publisherError(error, state)
            }
        }
    }

    func setLimits(_ limits: TopicLimits, of topic: Topic) throws -> Bool {
        try state.withLock { state in
            let time = clock.read()
            var refusal: HistoryError?
            let isNew: Bool
            do {
                isNew = try transaction(&state) { store, db in
                    do {
                        return try store.setLimits(limits, of: topic, time, db)
                    } catch let error as HistoryError {
                        refusal = error
                        return false
                    }
                }
            } catch {
                throw publisherError(error, state)
            }
            if let refusal { throw refusal }
            recent.set(limits, of: topic)
            publish(state)
            return isNew
        }
    }

    /// What is known of a producer: as durable as an acknowledged append, since no transaction is under way.
    func producer(_ id: ProducerID, of subject: HubSubject?, in topic: Topic) throws -> ProducerState? {
        try state.withLock { state in
            do {
                try prepare(&state)
            } catch {
                throw publisherError(error, state)
            }
            guard let store = state.store else { return nil }
            let epochs = store.epochs
            return store.ledger.producer(id, of: subject, in: topic, id: epochs.id(at:))
        }
    }
}

/// The appends of one transaction.
private struct AppendBatch {
    private var answers: [(append: PendingAppend, result: Result<AppendResult, any Error>)] = []
    private(set) var entries: [HistoryEntry] = []
    /// Ended topics that were dropped to make room.
    private(set) var dropped: [Topic] = []

    /// Appends a request's events; a refusal is its answer.
    ///
    /// - Throws: An error of the database: the transaction is to be rolled back.
    mutating func add(
        _ append: PendingAppend,
        to store: inout HistoryStore,
        at time: StoreClock.Reading,
        _ commands: InsertCommands,
        _ db: Database
    ) throws {
        do {
            let appended = try store.append(append.request, at: time, commands, db)
            answers.append((append, .success(appended.result)))
            entries += appended.entries
            if let topic = appended.dropped { dropped.append(topic) }
        } catch let error as HistoryError {
            answers.append((append, .failure(error)))
        }
    }

    func answer() {
        for (append, result) in answers { append.finish(result) }
    }
}
#endif
