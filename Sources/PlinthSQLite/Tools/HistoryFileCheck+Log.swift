// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import PlinthHub

/// The log: entries by number, in blocks whose sums they have to fit.
extension HistoryFileCheck {
    /// How many blocks in a row are tried that cannot be read.
    private static let maximumUnreadable = 1000

    mutating func checkLog() throws {
        try checkNegativeNumbers()
        try forEachBlock(reports: true) { check, block in try check.check(block: block) }
    }

    private mutating func checkNegativeNumbers() throws {
        for (table, column) in [("plinth_entry", "number"), ("plinth_block", "block")] {
            let least = table == "plinth_entry" ? 1 : 0
            let count = try tolerating(table) { check in
                try Command("SELECT count(*) FROM \(table) WHERE \(column) < \(least)", check.db).first { $0.number(0) }
            }
            if let count = count ?? nil, count > 0 {
                add(.entry, "\(table) has rows with an impossible number: \(count)")
            }
        }
    }

    /// Calls a closure with each block that has entries or a row.
    ///
    /// - Parameters:
    ///   - reports: Whether unreadable blocks are reported.
    ///   - body: Receives the block.
    /// - Throws: The closure's errors, unless a page cannot be read.
    private mutating func forEachBlock(reports: Bool, _ body: (inout HistoryFileCheck, UInt64) throws -> Void) throws {
        var at: UInt64 = 0
        var unreadable = 0
        while at <= HistoryStore.block(of: UInt64(Int64.max)) {
            do {
                guard let block = try nextBlock(from: at) else { return }
                at = block
                try body(&self, block)
                unreadable = 0
            } catch let error as DatabaseError where error.isUnreadable {
                unreadable += 1
                let first = at * HistoryStore.blockSize
                if reports { addUnreadable("an entry from number \(first) on", error, at: first) }
                guard at < HistoryStore.block(of: head) else { return }
                guard unreadable < Self.maximumUnreadable else {
                    return add(.page, "no entry from number \(first) on can be read", at: first)
                }
            }
            at += 1
        }
    }

    private func nextBlock(from block: UInt64) throws -> UInt64? {
        let stored = try Command("SELECT block FROM plinth_block WHERE block >= ? ORDER BY block LIMIT 1", db)
            .bind(.number(block)).first { $0.unsigned(0) }
        let entry = try Command("SELECT number FROM plinth_entry WHERE number >= ? ORDER BY number LIMIT 1", db)
            .bind(.number(max(1, block * HistoryStore.blockSize))).first { HistoryStore.block(of: $0.unsigned(0)) }
        return [stored, entry].compactMap { $0 }.min()
    }

    private struct BlockSum {
        var rows: Int64 = 0
        var bytes: Int64 = 0
        var checksum: UInt64 = 0
    }

    private mutating func check(block index: UInt64) throws {
        let first = index * HistoryStore.blockSize
        let stored = try Command("SELECT rows, bytes, checksum FROM plinth_block WHERE block = ?", db)
            .bind(.number(index)).first {
                BlockSum(rows: $0.number(0), bytes: $0.number(1), checksum: $0.unsigned(2))
            }
        var sum = BlockSum()
        var ends: [(number: UInt64, topic: Topic)] = []
        try forEachEntry(ofBlock: first) { check, row in
            try check.pass()
            sum.rows += 1
            sum.bytes += Int64(StoredEntry.weight(topics: row.bytes(3).count, lines: row.bytes(5).count))
            sum.checksum ^= row.unsigned(4)
            if let end = check.check(row) { ends.append(end) }
        }
        for end in ends {
            _ = try tolerating("plinth_end") { check in try check.checkHasEnded(end.topic, at: end.number) }
        }
        guard let stored else {
            return add(.block, "there are no sums for its entries: \(sum.rows)", at: first)
        }
        if stored.rows > sum.rows {
            add(.block, "entries missing: \(stored.rows &- sum.rows) of \(stored.rows)", at: first)
        }
        if stored.rows < sum.rows { add(.block, "entries added: \(sum.rows &- stored.rows)", at: first) }
        guard stored.rows == sum.rows else { return }
        if stored.checksum != sum.checksum {
            add(.block, "the checksums of its entries do not add up", at: first)
        } else if stored.bytes != sum.bytes {
            add(.block, "the bytes of its entries do not add up", at: first)
        }
    }

    private mutating func forEachEntry(
        ofBlock first: UInt64,
        _ body: (inout HistoryFileCheck, Command.Row) throws -> Void
    ) throws {
        try Command(
            "SELECT \(EntryDecoder.columns) FROM plinth_entry AS e WHERE number BETWEEN ? AND ? ORDER BY number",
            db
        ).bind(.number(max(1, first)), .number(first &+ (HistoryStore.blockSize - 1))).forEach { row in
            try body(&self, row)
            return true
        }
    }

    /// Checks an entry by itself.
    ///
    /// - Returns: For the end of a topic, its number and topic.
    private mutating func check(_ row: Command.Row) -> (number: UInt64, topic: Topic)? {
        let number = row.unsigned(0)
        guard EntryDecoder.isIntact(row) else {
            damaged.insert(number)
            add(.entry, "it is not as it was written", at: number)
            return nil
        }
        let flags = row.number(2)
        guard let (places, count) = StoredEntry.places(row.bytes(3)),
            flags & ~(StoredEntry.isRestricted | StoredEntry.isEnd) == 0
        else {
            damaged.insert(number)
            add(.entry, "it was written in another form", at: number)
            return nil
        }
        guard flags & StoredEntry.isEnd == 0 else { return (number, places[0].topic) }
        report.events += 1
        let lines = row.bytes(5).count
        for place in places[..<count] {
            let bytes = HistoryStore.bytes(inTopic: place.topic, lines: lines)
            held.add(place.topic.utf8, number: number, ordinal: place.ordinal, bytes: bytes)
        }
        return nil
    }

    private mutating func checkHasEnded(_ topic: Topic, at number: UInt64) throws {
        let isThere =
            try Command("SELECT 1 FROM plinth_end WHERE number = ? AND topic = ?", db)
            .bind(.number(number), .bytes(topic.utf8)).first { _ in true } ?? false
        if !isThere { add(.end, "the topic has an end, but is not known to have ended", at: number, of: topic) }
    }

    /// Finds the events that a topic's index does not have.
    mutating func findUnplaced() throws {
        try forEachBlock(reports: false) { check, block in
            var events: [(number: UInt64, topics: [Topic])] = []
            try check.forEachEntry(ofBlock: block * HistoryStore.blockSize) { check, row in
                try check.pass()
                let number = row.unsigned(0)
                guard !check.damaged.contains(number), row.number(2) & StoredEntry.isEnd == 0,
                    let (places, held) = StoredEntry.places(row.bytes(3))
                else { return }
                events.append((number, places.prefix(held).map(\.topic)))
            }
            for (number, topics) in events {
                for topic in topics where try !check.hasPlace(number, topic) {
                    check.add(.place, "the event is not in the topic's index", at: number, of: topic)
                }
            }
        }
    }

    private func hasPlace(_ number: UInt64, _ topic: Topic) throws -> Bool {
        try Command("SELECT 1 FROM plinth_place WHERE topic = ? AND number = ?", db)
            .bind(.bytes(topic.utf8), .number(number)).first { _ in true } ?? false
    }
}
#endif
