// SPDX-License-Identifier: Apache-2.0

#if SQLite
public import GRDB
public import PlinthHub
import PlinthStreams
import Synchronization

/// A history in a database of SQLite: it survives the end of its process, and a power cut.
///
/// ```swift
/// let history = SQLiteHistory(path: "hub.sqlite")
/// let hub = try await Hub(history: history)
/// ```
///
/// An append is acknowledged once it is on the disk (``SQLiteHistoryOptions/Sync/full``); appends that arrive together
/// share one sync. Recent events are also in memory, in the form in which they are sent: live delivery and most
/// replays do not touch the disk, and reads of older events run on threads of their own. IDs, ends, producers and keys
/// are as before after a restart.
///
/// One process uses a file at a time. Damage is reported as a gap to the subscribers that it concerns, and never
/// replayed.
public final class SQLiteHistory: History {
    enum Source {
        case file(String)
        case database(DatabasePool)
    }

    let source: Source
    let options: SQLiteHistoryOptions
    let clock: StoreClock
    let recent: MemoryHistory
    private let cache: BlockCache
    private let gate = ReadGate()
    let writer: HistoryWriter
    let queue: AppendQueue
    private let lock = Mutex<FileLock?>(nil)

    /// Creates a history with a file of its own, which is opened by the hub, and created if there is none.
    ///
    /// Beside it are its log (`-wal`), an index of that (`-shm`), a lock (`-lock`), and 2 MiB of room (`-reserve`) that
    /// is given up when the disk is full.
    ///
    /// - Parameters:
    ///   - path: The path of the file. Its directory exists.
    ///   - options: Limits and promises. Default: the defaults.
    public convenience init(path: String, options: SQLiteHistoryOptions = SQLiteHistoryOptions()) {
        self.init(.file(path), options, .system)
    }

    /// Creates a history in an application's own database, whose tables ``registerMigrations(in:)`` creates.
    ///
    /// Publishing waits for the application's transactions; live streams do not. ``SQLiteHistoryOptions/fileBytes``
    /// and ``SQLiteHistoryOptions/sync`` do not apply: file and settings are the application's.
    ///
    /// - Parameters:
    ///   - pool: The application's database.
    ///   - options: Limits. Default: the defaults.
    public convenience init(_ pool: DatabasePool, options: SQLiteHistoryOptions = SQLiteHistoryOptions()) {
        self.init(.database(pool), options, .system)
    }

    package convenience init(path: String, options: SQLiteHistoryOptions, clock: StoreClock) {
        self.init(.file(path), options, clock)
    }

    package convenience init(_ pool: DatabasePool, options: SQLiteHistoryOptions, clock: StoreClock) {
        self.init(.database(pool), options, clock)
    }

    private init(_ source: Source, _ options: SQLiteHistoryOptions, _ clock: StoreClock) {
        self.source = source
        self.options = options
        self.clock = clock
        let recent = MemoryHistory(
            recentOf: options.topic,
            total: HistoryLimits(bytes: options.recentBytes, age: options.total.age),
            now: clock.monotonic
        )
        let cache = BlockCache(bytes: options.cacheBytes)
        var reopen: (@Sendable () throws -> StoreConnection)?
        if case .file(let path) = source { reopen = { try StoreConnection.open(path, options) } }
        let writer = HistoryWriter(
            options: options,
            clock: clock,
            recent: recent,
            cache: cache,
            gate: gate,
            reopen: reopen
        )
        self.recent = recent
        self.cache = cache
        self.writer = writer
        queue = AppendQueue(timeout: options.appendTimeout, clock: clock) { writer.commit($0) }
    }

    // MARK: - Opening and closing

    /// Opens the database, begins an epoch, and starts the delivery of appended events.
    ///
    /// - Throws: ``SQLiteHistoryError`` if another process uses the file, or it cannot be used.
    public func open(deliver: @escaping @Sendable ([HistoryEntry]) -> Void) async throws -> Position {
        try options.check()
        let path = path
        let lock = try await FileLock.take(path + "-lock", patience: options.lockTimeout)
        let (source, options, writer, recent) = (source, options, writer, recent)
        let head = try await queue.run {
            let connection =
                switch source {
                case .file(let path): try StoreConnection.open(path, options)
                case .database(let pool): StoreConnection(pool: pool, path: path, isOwn: false)
                }
            return try writer.start(connection)
        }
        self.lock.withLock { $0 = lock }
        _ = try await recent.open(deliver: deliver)
        return head
    }

    /// Writes what is left to be written and closes the file; the history is not used any more.
    ///
    /// Without it nothing that was acknowledged is lost.
    public func close() async {
        let writer = writer
        try? await queue.run { writer.stop() }
        lock.withLock { $0 = nil }
    }

    private var path: String {
        switch source {
        case .file(let path): path
        case .database(let pool): pool.path
        }
    }

    // MARK: - Appending

    /// Appends events, all or none; throws ``/PlinthHub/HistoryError`` if the request is refused.
    public func append(_ request: AppendRequest) async throws -> AppendResult {
        try await queue.append(request)
    }

    /// Answers appends that have waited too long; for tests, which advance the clock.
    package func failLateAppends() { queue.failLate() }

    // MARK: - Locating

    /// Finds the position of an ID.
    public func locate(_ id: EventID) async throws -> Located {
        if let located = locateNow(id) { return located }
        guard case .trimmed(let position) = recent.locateNow(id) else { return .unknown }
        let isHeld = try await read { db in
            do {
                return try Command("SELECT 1 FROM plinth_entry WHERE number = ?", db).bind(.number(position.number))
                    .first { _ in true } ?? false
            } catch let error as DatabaseError where error.isDamage {
                return false
            }
        }
        return isHeld ? .found(position) : .trimmed(position)
    }

    /// Finds the position of an ID without waiting; nil for one that is not in memory.
    public func locateNow(_ id: EventID) -> Located? {
        let located = recent.locateNow(id)
        if case .trimmed = located { return nil }
        return located
    }

    /// The ends of the topics that a selection names.
    public func ends(of selection: Selection) async throws -> [TopicEnd] { try await recent.ends(of: selection) }

    /// The ends of the topics that a selection names, without waiting.
    public func endsNow(of selection: Selection) -> [TopicEnd]? { recent.endsNow(of: selection) }

    /// What is known of a producer in a topic.
    public func producer(_ id: ProducerID, of subject: HubSubject?, in topic: Topic) async throws -> ProducerState? {
        let writer = writer
        return try await queue.run { try writer.producer(id, of: subject, in: topic) }
    }

    /// The ID that stands for a position.
    public func id(at position: Position) -> EventID { recent.id(at: position) }

    // MARK: - Reading

    /// Reads events after a position.
    public func read(after position: Position?, selection: Selection, limit: ReadLimit) async throws -> HistoryBatch {
        if let batch = readNow(after: position, selection: selection, limit: limit) { return batch }
        // Before the transaction, which GRDB begins: what is committed between is not missed by it, but read later.
        let reading = reading(after: position, selection, limit)
        let writer = writer
        let clock = clock.read()
        return try await read { db in
            var decoder = EntryDecoder(writer.snapshot.epochs, clock)
            return try reading.read(&decoder, db)
        }
    }

    /// Reads events after a position without waiting; nil if some of them may be on the disk only.
    public func readNow(after position: Position?, selection: Selection, limit: ReadLimit) -> HistoryBatch? {
        if let batch = recent.readIfComplete(after: position, selection: selection, limit: limit) { return batch }
        return reading(after: position, selection, limit).readCached()
    }

    private func reading(after position: Position?, _ selection: Selection, _ limit: ReadLimit) -> StoredReading {
        StoredReading(
            selection: selection,
            limit: limit,
            after: position?.number ?? 0,
            // What is committed later is not delivered yet.
            head: recent.head.number,
            ends: selection.isOfNames && selection.names <= StoredReading.maximumNames
                ? recent.endsNow(of: selection) ?? [] : [],
            cache: cache,
            version: cache.version
        )
    }

    private func read<Result: Sendable>(_ body: @escaping @Sendable (Database) throws -> Result) async throws -> Result
    {
        try await gate.read {
            guard let pool = writer.snapshot.pool else { throw SQLiteHistoryError(.unusable, "the history is closed") }
            do {
                return try await pool.read(body)
            } catch let error as DatabaseError {
                throw SQLiteHistoryError(error, path)
            }
        }
    }

    // MARK: - Operating

    /// Removes the events, the end and the limits of a topic, some hundred at a time.
    public func purge(_ topic: Topic) async throws -> Int {
        let writer = writer
        var removed = 0
        while true {
            // Each step joins the queue again, so that publishing continues.
            let step = try await queue.run { try writer.purge(topic) }
            removed += step.removed
            if step.isDone { return removed }
        }
    }

    /// Sets the limits of one topic; throws ``/PlinthHub/HistoryError`` with the code `quota` at the bound.
    public func setLimits(_ limits: TopicLimits, of topic: Topic) async throws -> Bool {
        let writer = writer
        return try await queue.run { try writer.setLimits(limits, of: topic) }
    }

    /// What the history holds.
    public func statistics() async throws -> HistoryStatistics {
        let snapshot = writer.snapshot
        let now = clock.wall()
        func since(_ time: Int64?) -> Duration? {
            time.map { .nanoseconds(max(0, now.subtractingReportingOverflow($0).partialValue)) }
        }
        var statistics = snapshot.statistics
        statistics.storage = HistoryStorage(
            kind: "sqlite",
            bytes: snapshot.fileBytes,
            age: since(snapshot.oldest),
            sinceLastSync: since(snapshot.lastCommit)
        )
        return statistics
    }

    /// Removes events that are too old or beyond a limit, some hundred at a time.
    public func expire() async {
        let writer = writer
        await recent.expire()
        while (try? await queue.run { writer.keepHouse() }) == true {}
    }
}
#endif
