// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Foundation
import PlinthSQLite
import PlinthStreams
import Synchronization

/// A directory for the databases of one test, removed after it.
final class TemporaryFiles: Sendable {
    let directory: String
    private let last = Mutex(0)

    init() {
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("plinth-\(UUID().uuidString)").path
        try? FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    /// The bytes of the database made last, and its log.
    var bytes: Int {
        [lastPath, lastPath + "-wal"].reduce(0) { sum, path in
            let size = try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
            return sum + (size ?? 0)
        }
    }

    /// The path of the file that was made last.
    var lastPath: String { "\(directory)/\(last.withLock { $0 }).sqlite" }

    /// The path of a file that does not exist yet.
    func path() -> String { "\(directory)/\(last.withLock { $0 += 1; return $0 }).sqlite" }

    /// A history in a new file.
    func history(_ options: SQLiteHistoryOptions, _ clock: TestClock) -> SQLiteHistory {
        SQLiteHistory(path: path(), options: options, clock: clock.clock)
    }

    func history(_ clock: TestClock) -> SQLiteHistory { history(SQLiteHistoryOptions(), clock) }

    /// A history in the file that was made last.
    func again(_ options: SQLiteHistoryOptions, _ clock: TestClock) -> SQLiteHistory {
        SQLiteHistory(path: lastPath, options: options, clock: clock.clock)
    }

    func again(_ clock: TestClock) -> SQLiteHistory { again(SQLiteHistoryOptions(), clock) }
}

/// Both clocks of a history, which a test advances.
final class TestClock: Sendable {
    private let start = MonotonicTime.now()
    private let wallStart = StoreClock.system.wall()
    private let advanced = Mutex(Duration.zero)
    private let jumped = Mutex(Duration.zero)

    func advance(by time: Duration) { advanced.withLock { $0 += time } }

    /// Sets the calendar's clock, as an administrator does.
    func jump(by time: Duration) { jumped.withLock { $0 += time } }

    var clock: StoreClock {
        StoreClock(
            monotonic: { self.start + self.advanced.withLock { $0 } },
            wall: {
                let time = self.advanced.withLock { $0 } + self.jumped.withLock { $0 }
                return self.wallStart + time.clampedNanoseconds
            }
        )
    }
}
#endif
