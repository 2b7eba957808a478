// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import PlinthEvents
import PlinthHub
import Synchronization
import Testing

@testable import PlinthSQLite

@Suite("SQLite history: room")
struct RoomTests {
    private let files = TemporaryFiles()
    private let clock = TestClock()

    private func log(_ history: SQLiteHistory) throws -> Int {
        try #require(history.writer.state.withLock { $0.connection?.log.bytes })
    }

    @Test(
        "While another process reads the file, its log grows to its bound, and then nothing is taken until it has gone"
    )
    func foreignReader() async throws {
        var options = SQLiteHistoryOptions()
        options.fileBytes = SQLiteHistoryOptions.minimumFileBytes
        options.topic = HistoryLimits()
        options.recentBytes = 100_000
        options.sync = .normal
        let history = files.history(options, clock)
        let delivered = Delivered()
        _ = try await history.open { delivered.add($0) }
        _ = try await history.append(AppendRequest([try .test("1", "a")]))
        let text = String(repeating: "x", count: 10_000)
        let request = AppendRequest(try (0..<20).map { try .test("\($0) \(text)", "a") })
        let bytes = 200_000
        for _ in 0..<2 {
            let reader = try ForeignReader(files.lastPath)
            var taken = 0
            var refusal: HistoryError?
            while refusal == nil, taken < 100 {
                do {
                    _ = try await history.append(request)
                    taken += 1
                } catch let error as HistoryError {
                    refusal = error
                }
            }
            #expect(refusal?.code == .notTaken)
            #expect(
                refusal?.description.contains("another process reads the file") == true,
                "\(String(describing: refusal))"
            )
            #expect((options.logBytes / bytes / 2)...(options.logBytes / bytes + 2) ~= taken)
            #expect(try log(history) < options.logBytes + 2 * bytes)
            // It is tried again after a second, in vain.
            clock.advance(by: .seconds(2))
            await #expect(throws: HistoryError.self) { try await history.append(request) }
            await history.expire()
            #expect(files.bytes <= options.fileBytes)
            try reader.end()
            clock.advance(by: .seconds(2))
            _ = try await history.append(request)
            #expect(try log(history) < options.logBytes / 2)
        }
        // Goes on with the bound of the file.
        for _ in 0..<150 {
            _ = try await history.append(request)
            #expect(files.bytes <= options.fileBytes)
        }
        #expect(delivered.numbers == Array(1...UInt64(delivered.numbers.count)))
        #expect(try await history.readThrough(try .topics("a")).missing != nil)
        await history.close()
    }

    @Test("A log that has been large is copied as rarely as before")
    func checkpoints() async throws {
        let history = files.history(clock)
        _ = try await history.open { _ in }
        let text = String(repeating: "x", count: 10_000)
        let large = AppendRequest(try (0..<20).map { try .test("\($0) \(text)", "b") })
        var copied = 0
        for _ in 0..<30 {
            _ = try await history.append(large)
            try await history.queue.run {}
            if try log(history) == 0 { copied += 1 }
        }
        #expect((1...3).contains(copied), "6 MB are copied each 4 MiB")
        copied = 0
        for number in 0..<50 {
            _ = try await history.append(AppendRequest([try .test("\(number)", "a")]))
            try await history.queue.run {}
            if try log(history) == 0 { copied += 1 }
        }
        #expect(copied <= 1)
        await history.close()
    }
}
#endif
