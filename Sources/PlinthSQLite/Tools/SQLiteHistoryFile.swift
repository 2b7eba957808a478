// SPDX-License-Identifier: Apache-2.0

#if SQLite
/// The file of a ``SQLiteHistory``, for its operators: to check, measure, copy and compact it.
///
/// ```swift
/// let file = SQLiteHistoryFile(path: "hub.sqlite")
/// let report = try await file.check()
/// for problem in report.problems { print(problem) }
/// try await file.copy(to: "backup.sqlite")
/// ```
///
/// ``check(isQuick:progress:)``, ``statistics()`` and ``copy(to:isChecked:progress:)`` never change the file, and work
/// while a hub uses it. Each reads one snapshot. Until it has been read, the hub cannot begin its log anew: if the log
/// reaches its bound meanwhile, publishing is refused as `not-taken` until then. SQLite may leave an empty log (`-wal`) and its
/// index (`-shm`) beside a file that no hub uses.
///
/// ``compact(freePagesOnly:progress:)`` and ``beginEpoch()`` need the file for themselves, and take its lock.
///
/// Every method reacts to the cancellation of its task: it throws `CancellationError`, and leaves nothing half-done.
public struct SQLiteHistoryFile: Sendable {
    /// The path of the file.
    public let path: String

    /// Receives the part of the work that is done, from 0 to 1; called often, on the thread that does the work.
    public typealias Progress = @Sendable (_ part: Double) -> Void

    /// How long a change waits for another process to leave the file.
    static let lockTimeout = Duration.seconds(1)

    /// Creates a value; opens nothing yet.
    ///
    /// - Parameter path: The path of the file.
    public init(path: String) {
        self.path = path
    }
}
#endif
