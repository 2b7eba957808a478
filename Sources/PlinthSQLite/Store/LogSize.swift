// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import GRDBSQLite
import Synchronization

/// How much of the log (WAL) is in use, as SQLite reports it after each commit.
///
/// The size of the file says less: it stays when the log begins anew.
final class LogSize: Sendable {
    private let pages = Atomic(0)
    private let pageSize = Atomic(4096)

    var bytes: Int { pages.load(ordering: .relaxed) * pageSize.load(ordering: .relaxed) }

    func reset() { pages.store(0, ordering: .relaxed) }

    /// Receives the size after each commit of a connection.
    ///
    /// The connection must not outlive this object: both belong to one ``StoreConnection``.
    func observe(_ db: Database, pageSize: Int) {
        self.pageSize.store(pageSize, ordering: .relaxed)
        sqlite3_wal_hook(
            db.sqliteConnection,
            { context, _, _, pages in
                if let context { Unmanaged<LogSize>.fromOpaque(context).takeUnretainedValue().committed(pages) }
                return SQLITE_OK
            },
            Unmanaged.passUnretained(self).toOpaque()
        )
    }

    private func committed(_ pages: Int32) { self.pages.store(Int(pages), ordering: .relaxed) }
}
#endif
