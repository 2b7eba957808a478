// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import PlinthHub
import Synchronization

/// The entries of up to 256 numbers, as they were when they were read.
struct Block: Sendable {
    /// The numbers that it covers.
    let first: UInt64
    private(set) var last: UInt64
    private(set) var entries: [HistoryEntry] = []
    /// The last number up to which entries are damaged or missing; nil if all are as they were written.
    private(set) var damagedThrough: UInt64?
    /// The least number that its next entry can have.
    private var least: UInt64
    /// Its bytes in memory, about.
    private(set) var bytes = 0

    /// Whether it has all entries of its numbers; not if they are large.
    private(set) var isWhole = true

    /// Reads the first block that holds anything from a number on.
    ///
    /// - Parameters:
    ///   - number: The number.
    ///   - most: The bytes after which to stop: the block then ends before the next entry.
    ///   - decoder: Decodes the rows.
    ///   - db: The connection.
    /// - Returns: The block; nil if there is nothing.
    /// - Throws: An error of the database, but for damage.
    static func read(from number: UInt64, most: Int, _ decoder: inout EntryDecoder, _ db: Database) throws -> Block? {
        let own = HistoryStore.block(of: number)
        let stored: Sums?
        let next: UInt64?
        do {
            stored = try Sums.first(from: own, db)
            // A row without a block would be damage, and is found as such.
            next = try Command("SELECT number FROM plinth_entry WHERE number >= ? ORDER BY number LIMIT 1", db)
                .bind(.number(number)).first { HistoryStore.block(of: $0.unsigned(0)) }
        } catch let error as DatabaseError where error.isDamage {
            return Block(damaged: own)
        }
        guard let index = [stored?.block, next].compactMap({ $0 }).min() else { return nil }
        guard index <= UInt64.max / HistoryStore.blockSize - 1 else { return nil }
        var block = Block(index)
        do {
            if let stored, stored.block == index, stored.bytes > most {
                try block.readPart(from: max(number, block.first), stored, most, &decoder, db)
            } else {
                try block.readAll(stored, &decoder, db)
            }
        } catch let error as DatabaseError where error.isDamage {
            return Block(damaged: index)
        }
        return block
    }

    private init(_ index: UInt64) {
        first = index * HistoryStore.blockSize
        last = first + (HistoryStore.blockSize - 1)
        least = first
    }

    private init(damaged index: UInt64) {
        self.init(index)
        damagedThrough = last
    }

    private mutating func readAll(_ stored: Sums?, _ decoder: inout EntryDecoder, _ db: Database) throws {
        var rows: Int64 = 0
        var checksum: UInt64 = 0
        try Command(
            "SELECT \(EntryDecoder.columns) FROM plinth_entry AS e WHERE number BETWEEN ? AND ? ORDER BY number",
            db
        ).bind(.number(first), .number(last)).forEach { row in
            rows += 1
            checksum ^= row.unsigned(4)
            add(row, &decoder)
            return true
        }
        let isComplete = stored.map {
            HistoryStore.block(of: first) == $0.block && $0.rows == rows && $0.checksum == checksum
        }
        if isComplete != true { damagedThrough = last }
    }

    /// Reads the entries from a number on until they have enough bytes.
    private mutating func readPart(
        from number: UInt64,
        _ stored: Sums,
        _ most: Int,
        _ decoder: inout EntryDecoder,
        _ db: Database
    ) throws {
        isWhole = false
        var rows: Int64 = 0
        var checksum: UInt64 = 0
        // Without their lines, which large entries have on pages of their own.
        try Command("SELECT checksum FROM plinth_entry WHERE number BETWEEN ? AND ?", db)
            .bind(.number(first), .number(last)).forEach { row in
                rows += 1
                checksum ^= row.unsigned(0)
                return true
            }
        try Command(
            "SELECT \(EntryDecoder.columns) FROM plinth_entry AS e WHERE number BETWEEN ? AND ? ORDER BY number",
            db
        ).bind(.number(number), .number(last)).forEach { row in
            add(row, &decoder)
            guard bytes > most else { return true }
            last = row.unsigned(0)
            return false
        }
        if rows != stored.rows || checksum != stored.checksum { damagedThrough = last }
    }

    private mutating func add(_ row: Command.Row, _ decoder: inout EntryDecoder) {
        let number = row.unsigned(0)
        // A page of the table that lies in the place of another has its rows out of order.
        if number >= least, number <= last, let entry = decoder.decode(row) {
            least = number + 1
            entries.append(entry)
            bytes += entry.size
        } else {
            // Its number may be what is damaged.
            damagedThrough = last
        }
    }

    /// A row of `plinth_block`.
    private struct Sums {
        let block: UInt64
        let rows: Int64
        let bytes: Int64
        let checksum: UInt64

        /// The first from a block on that has rows.
        static func first(from block: UInt64, _ db: Database) throws -> Sums? {
            try Command(
                "SELECT block, rows, bytes, checksum FROM plinth_block WHERE block >= ? AND rows > 0 ORDER BY block LIMIT 1",
                db
            ).bind(.number(block)).first {
                Sums(block: $0.unsigned(0), rows: $0.number(1), bytes: $0.number(2), checksum: $0.unsigned(3))
            }
        }
    }
}

extension DatabaseError {
    /// Whether a page of the file is not as SQLite wrote it.
    var isDamage: Bool { resultCode == .SQLITE_CORRUPT || resultCode == .SQLITE_NOTADB }
}

/// Blocks that were read lately, shared by all readers: subscribers that replay the log follow each other.
///
/// A reader must not combine a block that lacks removed rows with what it knew of removals before. So each removal
/// changes the version twice, before and after its commit; a block counts from the version before it was read.
final class BlockCache: Sendable {
    private struct Known {
        let block: Block
        let version: UInt64
        var used: UInt64
    }

    private struct State {
        var blocks: [UInt64: Known] = [:]
        var bytes = 0
        var uses: UInt64 = 0
        /// Odd while a removal is committed.
        var version: UInt64 = 0
        /// The last entry removed from any topic; also one whose removal is being committed.
        var removed: UInt64 = 0
    }

    private let maximum: Int
    private let state = Mutex(State())

    init(bytes: Int) { maximum = max(0, bytes) }

    /// The most bytes of a block that is kept.
    var maximumBlock: Int { maximum / 4 }

    /// The version, to be taken before a transaction begins; nil if blocks cannot be used now.
    var version: UInt64? { state.withLock { $0.version % 2 == 0 ? $0.version : nil } }

    /// The last entry removed from any topic.
    var removed: UInt64 { state.withLock { $0.removed } }

    /// The block of a number.
    ///
    /// - Parameters:
    ///   - number: The number.
    ///   - version: The ``version`` before the reader's transaction began.
    /// - Returns: The block; nil if it is not here, or newer.
    func block(of number: UInt64, version: UInt64) -> Block? {
        state.withLock { state in
            let index = HistoryStore.block(of: number)
            guard let known = state.blocks[index], known.version <= version else { return nil }
            state.uses += 1
            state.blocks[index]?.used = state.uses
            return known.block
        }
    }

    /// Keeps a block that is complete.
    ///
    /// - Parameters:
    ///   - block: The block.
    ///   - version: The ``version`` before the transaction began in which it was read.
    func keep(_ block: Block, version: UInt64) {
        state.withLock { state in
            guard state.version == version, block.bytes <= maximumBlock else { return }
            let index = HistoryStore.block(of: block.first)
            state.uses += 1
            let known = Known(block: block, version: version, used: state.uses)
            if let old = state.blocks.updateValue(known, forKey: index) { state.bytes -= old.block.bytes }
            state.bytes += block.bytes
            guard state.bytes > maximum else { return }
            // A quarter at once, so that the order is rarely looked for.
            for (index, old) in state.blocks.sorted(by: { $0.value.used < $1.value.used }) {
                guard state.bytes > maximum - maximum / 4 else { break }
                state.blocks[index] = nil
                state.bytes -= old.block.bytes
            }
        }
    }

    /// Announces that a removal is about to be committed.
    func beginRemoval(through removed: UInt64) {
        state.withLock { state in
            state.version += 1
            state.removed = max(state.removed, removed)
        }
    }

    /// Drops the blocks of removed entries.
    func endRemoval(_ blocks: some Sequence<UInt64>) {
        state.withLock { state in
            state.version += 1
            for index in blocks {
                if let old = state.blocks.removeValue(forKey: index) { state.bytes -= old.block.bytes }
            }
        }
    }

    /// Begins with what a history has removed before.
    func start(removed: UInt64) { state.withLock { $0.removed = max($0.removed, removed) } }
}
#endif
