// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Foundation
import GRDB
import PlinthEvents
import PlinthHub
import PlinthSQLite
import Synchronization
import Testing

@Suite("SQLite history: compaction and epochs")
struct CompactTests {
    /// A file whose hub has removed most of what it held.
    private func emptied(size: Int = 2000) async throws -> HistoryFileSample {
        let sample = HistoryFileSample()
        let history = sample.history()
        _ = try await history.open { _ in }
        let text = String(repeating: "x", count: size)
        for start in stride(from: 0, to: 8000, by: 200) {
            let events = try (start..<(start + 200)).map {
                NewEvent(ServerSentEvent(data: "\($0) \(text)"), topics: [try Topic("t/\($0 % 40)")])
            }
            _ = try await history.append(AppendRequest(events))
        }
        for topic in 0..<39 { _ = try await history.purge(try Topic("t/\(topic)")) }
        await history.close()
        return sample
    }

    @Test("Compacting shrinks the file to what it holds, and changes nothing else", arguments: [false, true])
    func shrinks(freePagesOnly: Bool) async throws {
        let sample = try await emptied()
        let before = try await sample.file.statistics()
        #expect(before.freePages > before.pages / 2)
        let content = try HistoryFileSample.content(sample.path)
        let parts = Mutex<[Double]>([])
        let result = try await sample.file.compact(freePagesOnly: freePagesOnly) { part in
            parts.withLock { $0.append(part) }
        }
        let seen = parts.withLock { $0 }
        #expect(seen == seen.sorted() && seen.last == 1 && seen.count > 2, "\(seen)")
        let names = try FileManager.default.contentsOfDirectory(atPath: sample.files.directory)
        #expect(!names.contains { $0.contains("-rebuild") }, "\(names)")
        let after = try await sample.file.statistics()
        #expect(result.bytesBefore == before.fileBytes && result.bytesAfter == after.fileBytes)
        #expect(after.freePages == 0 && after.fileBytes < before.fileBytes / 2)
        #expect(try HistoryFileSample.content(sample.path) == content)
        let problems = try await sample.file.check().problems
        #expect(problems == [])
        // A hub continues, and the file can be compacted again.
        let history = sample.history()
        let head = try await history.open { _ in }
        #expect(head == Position(8000))
        _ = try await history.append(try HistoryFileSample.request("next", "t/39"))
        _ = try await history.purge(try Topic("t/39"))
        await history.close()
        try await sample.file.compact()
        #expect(try await sample.file.statistics().freePages == 0)
    }

    @Test("A compacted file has no half-empty pages, unlike one whose free pages were cut off")
    func rebuild() async throws {
        // Small events, so that a page has some of several topics.
        let sample = try await emptied(size: 20)
        try await sample.file.compact(freePagesOnly: true)
        let cut = try await sample.file.statistics().fileBytes
        try await sample.file.compact()
        let whole = try await sample.file.statistics().fileBytes
        #expect(whole < cut, "\(whole) bytes, and \(cut)")
    }

    @Test("What a killed compaction has left is removed")
    func leftovers() async throws {
        let sample = try await emptied()
        let content = try HistoryFileSample.content(sample.path)
        for end in ["", "-journal"] {
            try Data(repeating: 0x41, count: 5000).write(to: URL(fileURLWithPath: sample.path + "-rebuild" + end))
        }
        try await sample.file.compact()
        #expect(try HistoryFileSample.content(sample.path) == content)
        let names = try FileManager.default.contentsOfDirectory(atPath: sample.files.directory)
        #expect(!names.contains { $0.contains("-rebuild") }, "\(names)")
    }

    @Test("A cancelled compaction leaves a whole file, and can be done again", arguments: [false, true])
    func cancelled(freePagesOnly: Bool) async throws {
        let sample = try await emptied()
        let content = try HistoryFileSample.content(sample.path)
        let file = sample.file
        // At the first report, and halfway.
        for part in [0, 0.5] {
            await #expect(throws: CancellationError.self) {
                try await Task {
                    try await file.compact(freePagesOnly: freePagesOnly) { done in
                        if done >= part { withUnsafeCurrentTask { $0?.cancel() } }
                    }
                }.value
            }
            let problems = try await file.check().problems
            #expect(problems == [])
            #expect(try HistoryFileSample.content(sample.path) == content)
            let names = try FileManager.default.contentsOfDirectory(atPath: sample.files.directory)
            #expect(!names.contains { $0.contains("-rebuild") }, "\(names)")
        }
        try await file.compact(freePagesOnly: freePagesOnly)
        #expect(try await file.statistics().freePages == 0)
    }

    @Test("A compaction works beside a process that has the file open", arguments: [false, true])
    func besideReader(freePagesOnly: Bool) async throws {
        let sample = try await emptied()
        let reader = try DatabasePool(path: sample.path)
        let content = try HistoryFileSample.content(sample.path)
        try await sample.file.compact(freePagesOnly: freePagesOnly)
        #expect(try await reader.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM plinth_entry") } == 200)
        try reader.close()
        #expect(try HistoryFileSample.content(sample.path) == content)
        #expect(try await sample.file.statistics().freePages == 0)
    }

    @Test("An epoch begins after the last number, and a hub begins another")
    func epoch() async throws {
        let sample = HistoryFileSample()
        try await sample.fill()
        let copy = sample.files.path()
        try await sample.file.copy(to: copy)
        let before = try await sample.file.statistics()
        let first = try await sample.file.beginEpoch()
        #expect(first.first == 604 && first.last == nil && first.token.count == 8)
        #expect(!before.epochs.contains { $0.token == first.token })
        let second = try await SQLiteHistoryFile(path: copy).beginEpoch()
        #expect(second.token != first.token)
        #expect(try await sample.file.statistics().epochs.last == first)
        #expect(try await sample.file.check().isWhole)
        // IDs given so far stay valid.
        let history = sample.history()
        _ = try await history.open { _ in }
        let newest = try #require(before.newest)
        #expect(try await history.locate(newest.id) == .found(Position(603)))
        let next = try await history.append(try HistoryFileSample.request("next", "t/2")).lastID
        #expect(next.description.hasSuffix("-604"))
        await history.close()
    }
}
#endif
