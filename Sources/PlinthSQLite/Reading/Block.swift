// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import PlinthHub
import Synchronization

/// The entries of up to 256 numbers, as they were when they were read.
struct Block: Sendable {
    /// The numbers that it covers.
    let first: UInt64
    let last: UInt64
    var entries: [HistoryEntry] = []
    /// The last number up to which entries are damaged or missing; nil if all are as they were written.
    var damagedThrough: UInt64?
    /// Its bytes in memory, about.
    var bytes = 0

    /// Reads the first block that holds anything from a number on.
    ///
    /// - Returns: The block; nil if there is nothing.
    static func read(from number: UInt64, _ decoder: inout EntryDecoder, _ db: Database) throws -> Block? {
        let size = HistoryStore.blockSize
        let stored = try Command(
            "SELECT block, rows, checksum FROM plinth_block WHERE block >= ? AND rows > 0 ORDER BY block LIMIT 1",
            db
        ).bind(.number(HistoryStore.block(of: number))).first {
            (block: $0.unsigned(0), rows: $0.number(1), checksum: $0.unsigned(2))
        }
        // A row without a block would be damage, and is found as such.
        let next = try Command("SELECT number FROM plinth_entry WHERE number >= ? ORDER BY number LIMIT 1", db)
            .bind(.number(number)).first { HistoryStore.block(of: $0.unsigned(0)) }
        guard let index = [stored?.block, next].compactMap({ $0 }).min() else { return nil }
        let (first, overflow) = index.multipliedReportingOverflow(by: size)
        guard !overflow else { return nil }
        var block = Block(first: first, last: first &+ (size - 1))
        var rows: Int64 = 0
        var checksum: UInt64 = 0
        do {
            try Command(
                "SELECT \(EntryDecoder.columns) FROM plinth_entry AS e WHERE number BETWEEN ? AND ? ORDER BY number",
                db
            ).bind(.number(block.first), .number(block.last)).forEach { row in
                rows += 1
                checksum ^= row.unsigned(4)
                if let entry = decoder.decode(row) {
                    block.entries.append(entry)
                    block.bytes += entry.size
                } else {
                    block.damagedThrough = row.unsigned(0)
                }
                return true
            }
        } catch let error as DatabaseError where error.isDamage {
            block.damagedThrough = block.last
            return block
        }
        let isWhole = stored.map { $0.block == index && $0.rows == rows && $0.checksum == checksum } ?? false
        if !isWhole { block.damagedThrough = block.last }
        return block
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
            guard state.version == version, block.bytes <= maximum / 4 else { return }
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
