// SPDX-License-Identifier: Apache-2.0

#if SQLite
public import Logging
public import PlinthHub

/// The limits and promises of a ``SQLiteHistory``.
public struct SQLiteHistoryOptions: Sendable {
    /// When an append is acknowledged.
    public enum Sync: String, Sendable, Hashable, CaseIterable {
        /// Once it is on the disk: it survives a power cut. Appends that arrive together share one sync.
        case full
        /// Once the system has it: it survives the end of the process, and a power cut loses the last moments.
        case normal
    }

    /// When an append is acknowledged.
    ///
    /// Default: ``Sync/full``.
    public var sync = Sync.full
    /// The limits of each topic.
    ///
    /// Default: 10,000 events, 16 MiB.
    public var topic = HistoryLimits.defaultOfTopic
    /// The limits of all topics together; bytes are those of events, without SQLite's own.
    ///
    /// Default: none; ``fileBytes`` bounds the file.
    public var total = HistoryLimits()
    /// The maximum bytes of the database and its log (WAL) together; the oldest events are removed in time.
    ///
    /// Default: 1 GiB; at least 32 MiB.
    public var fileBytes = 1 << 30
    /// The maximum bytes of recent events in memory, from which live and most resumed subscribers are served.
    ///
    /// Default: 64 MiB.
    public var recentBytes = 64 << 20
    /// The maximum bytes of older events that are kept in memory after they were read.
    ///
    /// Default: 32 MiB.
    public var cacheBytes = 32 << 20
    /// How much is remembered besides events: ended topics, producers, keys.
    public var quotas = HistoryQuotas()
    /// How long an append waits at most; it then fails as not taken, or, if it is being written, as unknown.
    ///
    /// Default: 10 seconds.
    public var appendTimeout = Duration.seconds(10)
    /// How long opening waits for another process to leave the history, so that a restart works.
    ///
    /// Default: 20 seconds, longer than a server's graceful shutdown.
    public var lockTimeout = Duration.seconds(20)
    /// Receives what an operator has to know, such as damage; nothing on success.
    ///
    /// Default: a logger named `plinth.history`.
    public var logger = Logger(label: "plinth.history")

    /// Creates the defaults.
    public init() {}

    /// The least that ``fileBytes`` can be: 32 MiB.
    public static let minimumFileBytes = 32 << 20

    /// The part of ``fileBytes`` that the log may take.
    var logBytes: Int { min(64 << 20, fileBytes / 4) }

    func check() throws(SQLiteHistoryError) {
        guard fileBytes >= Self.minimumFileBytes else {
            throw SQLiteHistoryError(.badOptions, "a history's file needs at least \(Self.minimumFileBytes) bytes")
        }
    }
}
#endif
