// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Foundation
import GRDB
import PlinthEvents
import PlinthHub
import PlinthTestSupport
import Testing

@testable import PlinthSQLite

@Suite("SQLite history: an application's transactions")
struct ApplicationTransactionTests {
    private let files = TemporaryFiles()

    @Test("A database whose path is relative, or leads through a link, is the history's", arguments: 0..<3)
    func paths(_ kind: Int) async throws {
        let directory = files.directory
        let real = "\(directory)/real"
        try FileManager.default.createDirectory(atPath: real, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(atPath: "\(directory)/link", withDestinationPath: real)
        let current = FileManager.default.currentDirectoryPath
        let up = String(repeating: "../", count: current.split(separator: "/").count)
        let path = ["\(up)\(real.dropFirst())/a.sqlite", "\(directory)/link/b.sqlite", "\(directory)/./c.sqlite"][kind]
        let pool = try files.pool(at: path)
        let hub = try await Hub(history: SQLiteHistory(pool))
        let topic = try Topic("t")
        let id = try await pool.write { try hub.publish(ServerSentEvent(data: ""), to: topic, in: $0) }
        #expect(hub.mark() == id)
    }

    @Test("Counts are those of the tables after transactions of an application", arguments: [1, 2, 3])
    func counts(_ seed: Int) async throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let pool = try files.pool()
        var options = SQLiteHistoryOptions()
        options.topic = HistoryLimits(events: 5)
        options.total = HistoryLimits(events: 40)
        let history = SQLiteHistory(pool, options: options)
        _ = try await history.open { _ in }
        let names = (0..<12).map { "t/\($0)" }
        for step in 0..<150 {
            let events = try (0..<random.number(below: 4)).map { _ in
                try NewEvent.test("\(step)", random.one(of: names))
            }
            switch random.number(below: 10) {
            case 0: _ = try await history.purge(try Topic(random.one(of: names)))
            case 1: await history.expire()
            case 2..<6: _ = try await history.append(AppendRequest(events))
            default: _ = try await pool.write { try history.append(events, in: $0) }
            }
            if step % 10 == 9 {
                await history.expire()
                let statistics = try await history.statistics()
                let held = try await pool.read { try TableCounts($0) }
                #expect(
                    held.faults.isEmpty && held.isEqual(to: statistics),
                    "seed \(seed), step \(step): \(held), \(statistics)"
                )
            }
        }
        await history.close()
    }
}
#endif
