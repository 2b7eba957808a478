// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Dispatch
import Foundation
import GRDB
import PlinthEvents
import PlinthHub
import PlinthTestSupport
import Synchronization
import Testing

@testable import PlinthSQLite

@Suite("SQLite history: reading while events are written")
struct ReadingWhileWritingTests {
    private let files = TemporaryFiles()
    private let clock = TestClock()

    /// Options with which every read is from the disk.
    private func fromDisk() -> SQLiteHistoryOptions {
        var options = SQLiteHistoryOptions()
        options.recentBytes = 0
        options.sync = .normal
        options.topic = HistoryLimits()
        return options
    }

    @Test("What is committed right after a read's snapshot is read next, and not lost", arguments: [true, false])
    func commitsAfterSnapshot(isOfTopic: Bool) async throws {
        let next = Mutex<(@Sendable () -> Void)?>(nil)
        var configuration = Configuration()
        // GRDB's first statement of a read: the snapshot is there.
        configuration.afterStatements { isReader, sql in
            guard isReader, sql.contains("schema_version") else { return }
            next.withLock { $0.take() }?()
        }
        let pool = try files.pool(at: nil, configuration)
        let history = SQLiteHistory(pool, options: fromDisk())
        _ = try await history.open { _ in }
        let selection = isOfTopic ? try Selection.topics("t") : Selection([.all])
        _ = try await history.append(AppendRequest([try .test("0", "t")]))
        for number in 1...5 {
            let request = AppendRequest([try .test("\(number)", "t")])
            next.withLock {
                $0 = {
                    let done = DispatchSemaphore(value: 0)
                    Task {
                        _ = try? await history.append(request)
                        done.signal()
                    }
                    done.wait()
                }
            }
            let head = UInt64(number)
            let batch = try await history.read(after: Position(head - 1), selection: selection, limit: ReadLimit())
            #expect(next.withLock { $0 == nil }, "nothing was committed during the read")
            #expect(batch.entries.map(\.position.number) == [head] && batch.missingThrough == nil)
            #expect(batch.through == Position(head))
            let rest = try await history.readThrough(after: batch.through, selection)
            #expect(rest.data == ["\(number)"] && rest.missing == nil)
        }
        await history.close()
    }

    @Test("Readers of the disk that run while events are committed get each event, and no gap")
    func races() async throws {
        let history = files.history(fromDisk(), clock)
        _ = try await history.open { _ in }
        let count: UInt64 = 600
        let topic = try Topic("t")
        await withTaskGroup(of: Void.self) { group in
            for reader in 0..<3 {
                let selection = reader == 0 ? Selection([.all]) : Selection([.exact(topic)])
                group.addTask {
                    var at = Position.zero
                    while at.number < count {
                        guard let batch = try? await history.read(after: at, selection: selection, limit: ReadLimit())
                        else {
                            Issue.record("reader \(reader): a read after \(at) failed")
                            return
                        }
                        let numbers = batch.entries.map(\.position.number)
                        guard numbers == Array((at.number + 1)..<(batch.through.number + 1)),
                            batch.missingThrough == nil
                        else {
                            Issue.record(
                                "reader \(reader): after \(at) through \(batch.through) \(numbers), missing \(String(describing: batch.missingThrough))"
                            )
                            return
                        }
                        at = batch.through
                        await Task.yield()
                    }
                }
            }
            group.addTask {
                for number in 0..<count {
                    let event = NewEvent(ServerSentEvent(data: "\(number)"), topics: [topic])
                    _ = try? await history.append(AppendRequest([event]))
                }
            }
        }
        await history.close()
    }

    /// Reads in the snapshot of now as if only events up to a head were delivered.
    private func read(_ history: SQLiteHistory, _ selection: Selection, after: UInt64, head: UInt64) async throws
        -> HistoryBatch
    {
        let reading = StoredReading(
            selection: selection,
            limit: ReadLimit(),
            after: after,
            head: head,
            ends: [],
            cache: BlockCache(bytes: 0),
            version: nil
        )
        let snapshot = history.writer.snapshot
        let time = clock.clock.read()
        return try await #require(snapshot.pool).read { db in
            var decoder = EntryDecoder(snapshot.epochs, time)
            return try reading.read(&decoder, db)
        }
    }

    @Test("A topic at its limit has no gap for a reader behind what it has lost, whatever was delivered by then")
    func atLimit() async throws {
        var options = fromDisk()
        options.topic = HistoryLimits(events: 20)
        let history = files.history(options, clock)
        _ = try await history.open { _ in }
        for number in 1...60 { _ = try await history.append(AppendRequest([try .test("\(number)", "t")])) }
        for head in UInt64(41)...60 {
            for after in 40...head {
                let batch = try await read(history, try .topics("t"), after: after, head: head)
                #expect(batch.missingThrough == nil, "after \(after), delivered through \(head)")
                #expect(batch.entries.map(\.position.number) == Array((after + 1)..<(head + 1)))
                #expect(batch.through == Position(head))
            }
            #expect(try await read(history, try .topics("t"), after: 39, head: head).missingThrough == Position(40))
        }
        await history.close()
    }

    @Test("A read of several topics ends with the first that has more, and the others have no gap")
    func severalTopics() async throws {
        var options = SQLiteHistoryOptions()
        options.recentBytes = 10_000
        let history = files.history(options, clock)
        _ = try await history.open { _ in }
        var ids: [EventID] = []
        for start in stride(from: 0, to: 2000, by: 100) {
            let events = try (start..<(start + 100)).map { try NewEvent.test("\($0)", $0 % 3 == 0 ? "t/1" : "t/0") }
            ids += try await history.append(AppendRequest(events)).ids
        }
        await history.expire()
        for position in [nil, Position(1), Position(500)] {
            let read = try await history.readThrough(after: position, try .topics("t/0", "t/1"))
            #expect(read.missing == nil)
            #expect(read.data == (Int(position?.number ?? 0)..<2000).map(String.init))
        }
        await history.close()

        // After a restart, what a subscriber gets.
        let hub = try await Hub(history: files.again(options, clock))
        var seen: [String] = []
        try await hub.subscribe(to: .exact(try Topic("t/0")), .exact(try Topic("t/1")), from: .after(ids[0])) {
            updates in
            for try await update in updates {
                guard case .event(let published) = update else {
                    Issue.record("\(update)")
                    break
                }
                seen.append(published.event.data)
                if seen.last == "1999" { break }
            }
        }
        #expect(seen == (1..<2000).map(String.init))
    }

    @Test("An end that is purged while its topic is read is read or reported")
    func purgedEnd() async throws {
        let history = files.history(fromDisk(), clock)
        _ = try await history.open { _ in }
        let topic = try Topic("a")
        _ = try await history.append(AppendRequest([try .test("1", "a"), try .test("2", "b")]))
        _ = try await history.append(AppendRequest([], ending: topic))
        let reading = StoredReading(
            selection: try .topics("a"),
            limit: ReadLimit(),
            after: 0,
            head: 3,
            ends: [],
            cache: BlockCache(bytes: 0),
            version: nil
        )
        let snapshot = history.writer.snapshot
        let time = clock.clock.read()
        let purge: @Sendable () -> Void = {
            let done = DispatchSemaphore(value: 0)
            Task {
                _ = try? await history.purge(topic)
                done.signal()
            }
            done.wait()
        }
        let batch = try await #require(snapshot.pool).read { db in
            _ = try Int.fetchOne(db, sql: "SELECT count(*) FROM plinth_entry")
            purge()
            var decoder = EntryDecoder(snapshot.epochs, time)
            return try reading.read(&decoder, db)
        }
        #expect(history.endsNow(of: try .topics("a"))?.isEmpty == true)
        #expect(batch.entries.contains { $0.isEnd } || batch.missingThrough != nil)
        await history.close()
    }

    /// Counts the bytes of events that a read takes from the table.
    private func bytesRead(_ history: SQLiteHistory, _ selection: Selection, after: UInt64) throws -> (
        Int, HistoryBatch
    ) {
        let counted = Mutex(0)
        let reading = StoredReading(
            selection: selection,
            limit: ReadLimit(),
            after: after,
            head: history.recent.head.number,
            ends: [],
            cache: BlockCache(bytes: 0),
            version: nil
        )
        let queue = try DatabaseQueue(path: files.lastPath)
        defer { try? queue.close() }
        let batch = try queue.inDatabase { db in
            db.add(
                function: DatabaseFunction("counted", argumentCount: 1) { values in
                    counted.withLock { $0 += Data.fromDatabaseValue(values[0])?.count ?? 0 }
                    return values[0]
                }
            )
            try db.execute(
                sql: """
                    CREATE TEMP VIEW plinth_entry AS
                    SELECT number, time, flags, topics, checksum, counted(lines) AS lines FROM main.plinth_entry
                    """
            )
            var decoder = EntryDecoder(history.writer.snapshot.epochs, clock.clock.read())
            return try reading.read(&decoder, db)
        }
        return (counted.withLock { $0 }, batch)
    }

    @Test("A read of large events takes about as many bytes from the disk as it returns")
    func largeEvents() async throws {
        let history = files.history(fromDisk(), clock)
        _ = try await history.open { _ in }
        let text = String(repeating: "x", count: 20_000)
        for start in stride(from: 0, to: 300, by: 20) {
            let events = try (start..<(start + 20)).map { try NewEvent.test("\($0) \(text)", "a") }
            _ = try await history.append(AppendRequest(events))
        }
        // The rest of a block, and the beginning of the next.
        let most = 2 * (ReadLimit().bytes + text.utf8.count)
        for selection in [Selection([.all]), try .topics("a"), try .topics("a", "b")] {
            var at: UInt64 = 0
            while at < 300 {
                let (bytes, batch) = try bytesRead(history, selection, after: at)
                #expect(bytes < most, "after \(at)")
                #expect(batch.entries.map(\.position.number) == Array((at + 1)..<(batch.through.number + 1)))
                #expect(batch.missingThrough == nil)
                guard batch.through.number > at else {
                    Issue.record("stuck at \(at)")
                    return
                }
                at = batch.through.number
            }
        }
        await history.close()
    }
}
#endif
