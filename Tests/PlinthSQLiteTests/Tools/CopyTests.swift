// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Foundation
import GRDB
import PlinthEvents
import PlinthHub
import PlinthSQLite
import Synchronization
import Testing

@Suite("SQLite history: copies")
struct CopyTests {
    private func names(_ sample: HistoryFileSample) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: sample.files.directory)
    }

    @Test("A copy holds everything, with the permissions of the original")
    func everything() async throws {
        let sample = HistoryFileSample()
        try await sample.fill()
        try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: sample.path)
        let copy = sample.files.path()
        let parts = Mutex<[Double]>([])
        let result = try await sample.file.copy(to: copy, isChecked: true) { part in parts.withLock { $0.append(part) }
        }
        let seen = parts.withLock { $0 }
        #expect(seen == seen.sorted() && seen.last == 1, "\(seen)")
        #expect(result.events == 530 && result.report?.isWhole == true && result.report?.events == 530)
        let attributes = try FileManager.default.attributesOfItem(atPath: copy)
        #expect(attributes[.size] as? Int == result.bytes && attributes[.posixPermissions] as? Int == 0o640)
        #expect(try HistoryFileSample.content(copy) == HistoryFileSample.content(sample.path))
        let statistics = try await SQLiteHistoryFile(path: copy).statistics()
        #expect(statistics.epochs == (try await sample.file.statistics()).epochs)
        #expect(try names(sample).filter { $0.contains("partial") }.isEmpty)
    }

    @Test("A hub that opens a copy gives no ID that the other hub gives, and knows those given before")
    func epochs() async throws {
        let sample = HistoryFileSample()
        try await sample.fill()
        let path = sample.files.path()
        try await sample.file.copy(to: path)
        let original = sample.history()
        let copy = SQLiteHistory(path: path, options: SQLiteHistoryOptions(), clock: sample.clock.clock)
        #expect(try await original.open { _ in } == Position(603))
        #expect(try await copy.open { _ in } == Position(603))
        let first = try await original.append(try HistoryFileSample.request("here", "t/2")).lastID
        let second = try await copy.append(try HistoryFileSample.request("there", "t/2")).lastID
        #expect(first != second)
        #expect(first.description.hasSuffix("-604") && second.description.hasSuffix("-604"))
        #expect(try await copy.locate(first) == .unknown)
        #expect(try await original.locate(second) == .unknown)
        let old = try #require(try await sample.file.statistics().oldest).id
        #expect(try await copy.locate(old) == .found(Position(2)))
        let ended = Selection([.exact(try Topic("t/0"))])
        #expect(copy.endsNow(of: ended)?.first?.id == original.endsNow(of: ended)?.first?.id)
        #expect(try await SQLiteRevocationStore(copy).revocations() == [.test("revoked", issuer: "issuer")])
        await original.close()
        await copy.close()
    }

    @Test("A copy beside a hub that continues to publish is whole, and ends where its snapshot was taken")
    func besideHub() async throws {
        let sample = HistoryFileSample()
        var options = SQLiteHistoryOptions()
        options.topic = HistoryLimits(events: 500)
        options.sync = .normal
        let history = sample.history(options)
        _ = try await history.open { _ in }
        let text = String(repeating: "x", count: 1000)
        let published = Mutex(0)
        let isDone = Mutex(false)
        async let publishing: Void = {
            var number = 0
            while !isDone.withLock({ $0 }) {
                let events = try (0..<50).map {
                    NewEvent(ServerSentEvent(data: "\(number + $0 + 1) \(text)"), topics: [try Topic("t/\($0 % 5)")])
                }
                _ = try await history.append(AppendRequest(events))
                number += 50
                published.withLock { $0 = number }
            }
        }()
        var copies = 0
        while copies < 8 {
            let before = published.withLock { $0 }
            // Copies of a growing file, each begun after something new was published.
            guard before > copies * 400 else {
                await Task.yield()
                continue
            }
            let path = sample.files.path()
            let copy = try await sample.file.copy(to: path, isChecked: true)
            let after = published.withLock { $0 }
            #expect(copy.report?.isWhole == true, "\(copy.report?.problems ?? [])")
            let file = SQLiteHistoryFile(path: path)
            let newest = try #require(try await file.statistics().newest)
            let last = try #require(Int(newest.id.description.split(separator: "-")[1]))
            // An append under way may be part of it, or not.
            #expect(last >= before && last <= after + 50 && last % 50 == 0)
            #expect(copy.events == min(last, 2500))
            copies += 1
        }
        isDone.withLock { $0 = true }
        try await publishing
        await history.close()
        #expect(try await sample.file.check().isWhole)
    }

    @Test("What a crashed hub has left in its log is copied too")
    func afterCrash() async throws {
        let sample = HistoryFileSample()
        let history = sample.history()
        _ = try await history.open { _ in }
        for number in 1...100 { _ = try await history.append(try HistoryFileSample.request("\(number)", "t")) }
        // The files as they would be after a crash.
        let crashed = sample.files.path()
        for end in ["", "-wal"] { try FileManager.default.copyItem(atPath: sample.path + end, toPath: crashed + end) }
        await history.close()
        let copy = sample.files.path()
        #expect(try await SQLiteHistoryFile(path: crashed).copy(to: copy, isChecked: true).events == 100)
        #expect(try await SQLiteHistoryFile(path: copy).check().events == 100)
    }

    @Test("An existing file is refused, and an empty one is not")
    func destinations() async throws {
        let sample = HistoryFileSample()
        try await sample.fill()
        let there = sample.files.path()
        try Data("x".utf8).write(to: URL(fileURLWithPath: there))
        // What is not a file would be replaced by one.
        let (link, pipe) = (sample.files.directory + "/link", sample.files.directory + "/pipe")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "nowhere")
        #expect(mkfifo(pipe, 0o600) == 0)
        for path in [there, sample.path, sample.files.directory, link, pipe, "/dev/null"] {
            let error = await #expect(throws: SQLiteHistoryError.self) { try await sample.file.copy(to: path) }
            #expect(error?.code == .unusable && error?.description.hasPrefix("\(path) exists already") == true)
        }
        #expect(try String(contentsOfFile: there, encoding: .utf8) == "x")
        #expect(try !names(sample).contains { $0.hasPrefix("2.sqlite-") })
        let empty = sample.files.path()
        try Data().write(to: URL(fileURLWithPath: empty))
        try await sample.file.copy(to: empty)
        #expect(try await SQLiteHistoryFile(path: empty).check().events == 530)
        let nowhere = sample.files.directory + "/none/copy.sqlite"
        let error = await #expect(throws: SQLiteHistoryError.self) { try await sample.file.copy(to: nowhere) }
        #expect(error?.code == .unusable && error?.description.contains("/none/") == true)
    }

    @Test("The log of a file that is gone is not taken for that of the copy")
    func strayLog() async throws {
        let sample = HistoryFileSample()
        try await sample.fill()
        let copy = sample.files.path()
        try Data("x".utf8).write(to: URL(fileURLWithPath: copy + "-wal"))
        let error = await #expect(throws: SQLiteHistoryError.self) { try await sample.file.copy(to: copy) }
        #expect(error?.description.hasPrefix("\(copy)-wal is left of another file") == true)
        #expect(!FileManager.default.fileExists(atPath: copy))
    }

    @Test("A copy whose file a hub waits for is refused, and one that a crash has left is replaced")
    func partial() async throws {
        let sample = HistoryFileSample()
        try await sample.fill()
        let copy = sample.files.path()
        for end in ["", "-wal", "-journal"] {
            try Data("x".utf8).write(to: URL(fileURLWithPath: copy + "-partial" + end))
        }
        let holder = open(copy + "-lock", O_RDWR | O_CREAT, 0o600)
        #expect(flock(holder, LOCK_EX) == 0)
        let error = await #expect(throws: SQLiteHistoryError.self) { try await sample.file.copy(to: copy) }
        #expect(error?.code == .locked)
        #expect(FileManager.default.fileExists(atPath: copy + "-partial"))
        close(holder)
        try await sample.file.copy(to: copy)
        #expect(try await SQLiteHistoryFile(path: copy).check().events == 530)
        #expect(try !names(sample).contains { $0.contains("partial") })
    }

    @Test("A cancelled copy leaves nothing", arguments: [false, true])
    func cancelled(isChecked: Bool) async throws {
        let sample = HistoryFileSample()
        try await sample.fill()
        let copy = sample.files.path()
        let file = sample.file
        await #expect(throws: CancellationError.self) {
            try await Task {
                try await file.copy(to: copy, isChecked: isChecked) { part in
                    // While it copies, or while it checks.
                    if part >= (isChecked ? 0.6 : 0) { withUnsafeCurrentTask { $0?.cancel() } }
                }
            }.value
        }
        let left = try names(sample).filter { $0.hasPrefix("2.sqlite") }
        #expect(left.isEmpty || left == ["2.sqlite-lock"], "\(left)")
        try await file.copy(to: copy)
        #expect(try await SQLiteHistoryFile(path: copy).check().isWhole)
    }

    @Test("A damaged history is copied as it is, and a check says so")
    func damaged() async throws {
        let sample = HistoryFileSample()
        try await sample.fill()
        try sample.change("DELETE FROM plinth_entry WHERE number = 302")
        let copy = sample.files.path()
        let result = try await sample.file.copy(to: copy, isChecked: true)
        #expect(result.report?.isWhole == false)
        #expect(try await SQLiteHistoryFile(path: copy).check() == result.report)
    }
}
#endif
