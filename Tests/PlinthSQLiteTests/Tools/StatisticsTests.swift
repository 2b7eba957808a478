// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Foundation
import PlinthEvents
import PlinthHub
import PlinthSQLite
import Testing

@Suite("SQLite history: statistics")
struct StatisticsTests {
    @Test("What a file holds is counted")
    func counts() async throws {
        let sample = HistoryFileSample()
        try await sample.fill()
        let statistics = try await sample.file.statistics()
        #expect(statistics.events == 530 && statistics.topics == 6 && statistics.endedTopics == 1)
        #expect(statistics.producers == 1 && statistics.keys == 1 && statistics.limitedTopics == 1)
        #expect(statistics.revocations == 1)
        // The first stands for the position before all events.
        #expect(statistics.epochs.map(\.first) == [1, 1, 601])
        #expect(statistics.epochs.map(\.last) == [0, 600, nil])
        let tokens = statistics.epochs.map { String(decoding: $0.token, as: UTF8.self) }
        #expect(statistics.oldest?.id.description == "\(tokens[1])-2")
        #expect(statistics.newest?.id.description == "\(tokens[2])-603")
        let age = Date.now.timeIntervalSince1970 - (statistics.newest?.published ?? .zero) / .seconds(1)
        #expect(abs(age) < 3600)
        let size = try FileManager.default.attributesOfItem(atPath: sample.path)[.size] as? Int
        #expect(statistics.fileBytes == size)
        #expect(statistics.pages * statistics.pageSize == size)
        #expect(statistics.logBytes == 0 && statistics.bytes > 530 * 64)
    }

    @Test("The largest topics come first, at most ten")
    func largest() async throws {
        let sample = HistoryFileSample()
        let history = sample.history()
        _ = try await history.open { _ in }
        for number in 1...12 {
            for _ in 0..<number { _ = try await history.append(try HistoryFileSample.request("x", "t/\(number)")) }
        }
        _ = try await history.append(try HistoryFileSample.request(String(repeating: "x", count: 10_000), "large"))
        // Rows of topics are a second behind; so this also counts what is in the log (WAL) only.
        let statistics = try await sample.file.statistics()
        let topics = statistics.largestTopics
        #expect(topics.map(\.topic.description) == ["large"] + (4...12).reversed().map { "t/\($0)" })
        #expect(topics.map(\.events) == [1] + (4...12).reversed())
        #expect(topics[0].bytes > 10_000 && topics[1].bytes > 12 * 64)
        #expect(statistics.logBytes > 0)
        await history.close()
        #expect(try await sample.file.statistics().largestTopics == topics)
    }

    @Test("A file without events has none")
    func none() async throws {
        let sample = HistoryFileSample()
        let history = sample.history()
        _ = try await history.open { _ in }
        await history.close()
        let statistics = try await sample.file.statistics()
        #expect(statistics.events == 0 && statistics.oldest == nil && statistics.newest == nil)
        #expect(statistics.largestTopics.isEmpty && statistics.pages > 0)
    }
}
#endif
