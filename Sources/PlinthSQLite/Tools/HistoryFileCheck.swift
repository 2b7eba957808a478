// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import PlinthHub

/// Checks what a history's file holds, within one transaction.
///
/// Damaged pages do not end the check: what lies on them is reported, and the next block or topic is read.
struct HistoryFileCheck {
    let db: Database
    var report = SQLiteHistoryFile.Report()
    private var progress: CheckProgress

    /// Entries that are not as they were written: what refers to them is not reported again.
    var damaged: Set<UInt64> = []
    /// Where intact events are held, according to the log.
    var held = PlaceSum()
    /// How many of these places the topics' indexes have.
    var placed = 0
    /// The last number used.
    var head: UInt64 = 0
    /// The last entry removed from any topic.
    var removed: UInt64 = 0

    init(_ db: Database, _ report: @escaping SQLiteHistoryFile.Progress) {
        self.db = db
        progress = CheckProgress(report: report)
    }

    mutating func run(isQuick: Bool) throws {
        let rows = try tolerating("plinth_block") { check in
            // Damaged numbers may be too large for sum().
            try Command("SELECT total(rows) FROM plinth_block", check.db).first { Double($0.number(0)) } ?? 0
        }
        let pages = try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
        progress.expect(rows: 2 * (rows ?? 0), pages: pages)
        try checkPages(isQuick: isQuick)
        progress.pass(pages: pages)
        try checkEpochs()
        try checkMeta()
        try checkLog()
        if try !topicsFit() {
            let before = report.counts
            try checkTopics()
            if held.count != placed { try findUnplaced() }
            if report.counts == before, damaged.isEmpty { add(.place, "the topics' indexes do not fit the log") }
        }
        try checkEnds()
        try checkProducers()
        try checkKeys()
        try checkLimits()
        try checkRevocations()
    }

    // MARK: - Problems

    mutating func add(
        _ kind: SQLiteHistoryFile.Problem.Kind,
        _ reason: String,
        at number: UInt64? = nil,
        of topic: Topic? = nil
    ) {
        report.add(SQLiteHistoryFile.Problem(kind: kind, number: number, topic: topic, reason: reason))
    }

    mutating func addUnreadable(
        _ what: String,
        _ error: DatabaseError,
        at number: UInt64? = nil,
        of topic: Topic? = nil
    ) {
        let reason = error.message ?? error.resultCode.description
        add(.page, "\(what) cannot be read (\(reason))", at: number, of: topic)
    }

    /// Runs a closure; pages that cannot be read are a problem, not an error.
    ///
    /// - Returns: Its result; nil for unreadable pages.
    mutating func tolerating<Result>(
        _ what: String,
        _ body: (inout HistoryFileCheck) throws -> Result
    ) throws -> Result? {
        do {
            return try body(&self)
        } catch let error as DatabaseError where error.isUnreadable {
            addUnreadable(what, error)
            return nil
        }
    }

    /// Counts a row for the progress, and ends a check whose task is cancelled.
    mutating func pass() throws { try progress.pass() }

    // MARK: - Pages

    private mutating func checkPages(isQuick: Bool) throws {
        _ = try tolerating("the database") { check in
            // Lines of one message each; a tree's begins with "*** in database main ***".
            let pragma = isQuick ? "quick_check" : "integrity_check"
            for text in try String.fetchAll(check.db, sql: "PRAGMA \(pragma)(100)") where text != "ok" {
                for line in text.split(separator: "\n") where !line.hasPrefix("***") { check.add(.page, "\(line)") }
            }
        }
    }

    // MARK: - Numbers

    private mutating func checkEpochs() throws {
        let last = try tolerating("plinth_entry") { check in
            try Command("SELECT max(number) FROM plinth_entry", check.db).first { max(0, $0.number(0)) } ?? 0
        }
        head = UInt64(last ?? 0)
        guard let epochs = try tolerating("plinth_epoch", { try HistoryEpochs.stored($0.db) }) else { return }
        if epochs.isEmpty, head > 0 { add(.epoch, "there is none, but there are events") }
        var tokens: Set<[UInt8]> = []
        for (index, epoch) in epochs.enumerated() {
            let name = String(decoding: epoch.token, as: UTF8.self)
            if !tokens.insert(epoch.token).inserted { add(.epoch, "\(name) occurs twice") }
            if epoch.token.isEmpty || epoch.token.contains(0x2D) { add(.epoch, "\(name) is no token") }
            let next = index + 1 < epochs.count ? epochs[index + 1] : nil
            guard let next else {
                if epoch.last != nil { add(.epoch, "\(name) is the current one, but has a last number") }
                continue
            }
            guard let last = epoch.last, last &+ 1 >= epoch.first, next.first > last else {
                add(.epoch, "\(name) and the one after it overlap")
                continue
            }
            // Numbers that a lost branch of the history may have used.
            guard next.first - last > 1 else { continue }
            let between = try tolerating("plinth_entry") { check in
                try Command("SELECT number FROM plinth_entry WHERE number > ? AND number < ?", check.db)
                    .bind(.number(last), .number(next.first)).first { $0.unsigned(0) }
            }
            if let number = between ?? nil { add(.epoch, "an entry lies between two epochs", at: number) }
        }
        if let current = epochs.last { head = max(head, current.first &- 1) }
    }

    private mutating func checkMeta() throws {
        let meta = try tolerating("plinth_meta") { check in
            try Command("SELECT forgotten, removed FROM plinth_meta", check.db).first {
                (forgotten: $0.unsigned(0), removed: $0.unsigned(1))
            }
        }
        guard let meta = meta ?? nil else { return }
        removed = meta.removed
        if meta.forgotten > meta.removed { add(.meta, "the last removed number lies before that of a topic") }
        // What was removed last may have been the last that was used.
        head = max(head, removed)
    }
}

extension DatabaseError {
    /// Whether a page is damaged, or the disk cannot read it.
    var isUnreadable: Bool { isDamage || resultCode == .SQLITE_IOERR }
}

extension HistoryEpochs {
    /// The epochs as they are stored, in order, whether or not they fit together.
    static func stored(_ db: Database) throws -> [Epoch] {
        var epochs: [Epoch] = []
        try Command("SELECT token, first, last FROM plinth_epoch ORDER BY id", db).forEach { row in
            epochs.append(
                Epoch(token: Array(row.bytes(0)), first: row.unsigned(1), last: row.isNull(2) ? nil : row.unsigned(2))
            )
            return true
        }
        return epochs
    }
}

/// How much of a check is done.
private struct CheckProgress {
    let report: SQLiteHistoryFile.Progress
    private var total = 1.0
    private var done = 0.0
    private var rows = 0

    /// The time of checking a page by SQLite, with that of checking a row of ours as 1, about.
    private static let page = 12.0
    /// The rows between two reports.
    private static let step = 1024

    init(report: @escaping SQLiteHistoryFile.Progress) { self.report = report }

    mutating func expect(rows: Double, pages: Int) { total = max(1, rows + Double(pages) * Self.page) }

    mutating func pass(pages: Int) {
        done += Double(pages) * Self.page
        show()
    }

    mutating func pass() throws {
        rows += 1
        guard rows == Self.step else { return }
        rows = 0
        done += Double(Self.step)
        show()
        try Task.checkCancellation()
    }

    private func show() { report(min(1, done / total)) }
}
#endif
