// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Foundation
import GRDB
import PlinthEvents
import PlinthHub
import PlinthTestSupport
import Testing

@testable import PlinthSQLite

@Suite("SQLite history: damage")
struct DamageTests {
    private let files = TemporaryFiles()
    private let clock = TestClock()

    /// Opens the file again after a change that no hub makes.
    private func reopened(
        after change: String,
        _ options: SQLiteHistoryOptions = SQLiteHistoryOptions()
    ) async throws -> SQLiteHistory {
        try files.execute(change)
        let again = files.again(options, clock)
        _ = try await again.open { _ in }
        return again
    }

    // MARK: - Values

    @Test(
        "A time that is damaged does not end the process",
        arguments: ["time | (1 << 63)", "9223372036854775807", "0"]
    )
    func times(_ value: String) async throws {
        var options = SQLiteHistoryOptions()
        options.topic.age = .seconds(3600)
        options.total.age = .seconds(7200)
        let history = files.history(options, clock)
        _ = try await history.open { _ in }
        _ = try await history.setLimits(TopicLimits(age: .seconds(60)), of: try Topic("b"))
        _ = try await history.append(AppendRequest([try .test("1", "a"), try .test("2", "b"), try .test("3", "a")]))
        await history.close()
        let again = try await reopened(after: "UPDATE plinth_entry SET time = \(value) WHERE number <= 2", options)
        await again.expire()
        _ = try await again.append(AppendRequest([try .test("4", "a"), try .test("5", "b")]))
        await again.expire()
        let read = try await again.readThrough(Selection([.all]))
        #expect(read.data == ["3", "4", "5"])
        #expect(read.missing.map { $0 >= Position(2) } == true)
        await again.close()
    }

    @Test("An ordinal that is damaged does not end the process", arguments: [Int64(-1), 0, .max, .min])
    func ordinals(_ value: Int64) async throws {
        let history = files.history(clock)
        _ = try await history.open { _ in }
        _ = try await history.append(AppendRequest([try .test("1", "a"), try .test("2", "a")]))
        await history.close()
        let again = try await reopened(after: "UPDATE plinth_place SET ordinal = \(value) WHERE number = 2")
        _ = try await again.append(AppendRequest([try .test("3", "a")]))
        let read = try await again.readThrough(try .topics("a"))
        #expect(Set(read.data).isSubset(of: ["1", "2", "3"]))
        #expect(read.missing.map { $0 >= Position(2) } == true)
        _ = try await again.purge(try Topic("a"))
        await again.expire()
        await again.close()
    }

    @Test("A key's time that is damaged does not end the process", arguments: [Int64.max, .min, -1])
    func keyTimes(_ value: Int64) async throws {
        let history = files.history(clock)
        _ = try await history.open { _ in }
        _ = try await history.append(AppendRequest([try .test("1", "a")], key: IdempotencyKey(Array("k".utf8))))
        await history.close()
        let again = try await reopened(after: "UPDATE plinth_key SET time = \(value)")
        clock.advance(by: .seconds(11))
        await again.expire()
        _ = try await again.append(AppendRequest([try .test("2", "a")], key: IdempotencyKey(Array("l".utf8))))
        #expect(try await again.readThrough(try .topics("a")).data == ["1", "2"])
        await again.close()
    }

    @Test("How long hubs ran does not end the process if it is damaged", arguments: [Int64.max, .min])
    func running(_ value: Int64) async throws {
        let history = files.history(clock)
        _ = try await history.open { _ in }
        _ = try await history.append(AppendRequest([try .test("1", "a")], key: IdempotencyKey(Array("k".utf8))))
        await history.close()
        let again = try await reopened(after: "UPDATE plinth_meta SET running = \(value)")
        clock.advance(by: .seconds(11))
        await again.expire()
        _ = try await again.append(AppendRequest([try .test("2", "a")], key: IdempotencyKey(Array("l".utf8))))
        await again.close()
    }

    @Test(
        "An ended topic stays ended if its row is damaged or missing",
        arguments: ["UPDATE plinth_end SET restricted = 1 - restricted", "DELETE FROM plinth_end"]
    )
    func ends(_ damage: String) async throws {
        let history = files.history(clock)
        _ = try await history.open { _ in }
        let topic = try Topic("a")
        let end = try await history.append(AppendRequest([], ending: topic))
        await history.close()
        let again = try await reopened(after: damage)
        #expect(again.endsNow(of: try .topics("a"))?.map(\.id) == [end.lastID])
        let event = try NewEvent.test("1", "a")
        let error = await #expect(throws: HistoryError.self) { try await again.append(AppendRequest([event])) }
        #expect(error?.code == .topicEnded)
        // It can be opened again, and end again.
        _ = try await again.purge(topic)
        _ = try await again.append(AppendRequest([event]))
        _ = try await again.append(AppendRequest([], ending: topic))
        await again.close()
        let third = files.again(clock)
        _ = try await third.open { _ in }
        #expect(third.endsNow(of: try .topics("a"))?.count == 1)
        #expect(try await third.statistics().events == 1)
        await third.close()
    }

    // MARK: - Pages

    /// A file with something of everything, and what it holds.
    private struct Original {
        let file: [UInt8]
        let entries: [UInt64: HistoryEntry]

        static func make() async throws -> Original {
            let files = TemporaryFiles()
            let clock = TestClock()
            var random = SeededGenerator(seed: 1)
            let history = files.history(clock)
            _ = try await history.open { _ in }
            for start in stride(from: 0, to: 800, by: 40) {
                let events = try (start..<(start + 40)).map { number in
                    let text = String(repeating: "z", count: random.number(below: 80))
                    let topic = "t/\(random.number(below: 5))"
                    let event = try NewEvent.test("\(number) \(text)", topic)
                    return number % 9 == 0 ? try NewEvent.test("\(number) \(text)", topic, "other") : event
                }
                _ = try await history.append(AppendRequest(events))
            }
            for number in UInt8(0)..<20 {
                let stamp = try ProducerStamp(id: #require(ProducerID([number])), epoch: 0, sequence: 0)
                _ = try await history.append(AppendRequest([try .test("p\(number)", "t/0")], producer: stamp))
                let key = IdempotencyKey([number])
                _ = try await history.append(AppendRequest([try .test("k\(number)", "t/1")], key: key))
                _ = try await history.append(AppendRequest([], ending: try Topic("e/\(number)")))
            }
            _ = try await history.setLimits(TopicLimits(events: 100, age: .seconds(1000)), of: try Topic("t/4"))
            await history.expire()
            let read = try await history.readThrough(Selection([.all]))
            await history.close()
            return Original(
                file: [UInt8](try Data(contentsOf: URL(fileURLWithPath: files.lastPath))),
                entries: Dictionary(uniqueKeysWithValues: read.entries.map { ($0.position.number, $0) })
            )
        }
    }

    private static let original = Task { try await Original.make() }

    private func damage(_ file: inout [UInt8], _ random: inout SeededGenerator) -> String {
        let size = 4096
        let pages = file.count / size
        func page() -> Int { 1 + random.number(below: pages - 1) }
        switch random.number(below: 4) {
        case 0, 1:
            let bits = (0...random.number(below: 3)).map { _ in random.number(below: file.count * 8) }
            for bit in bits { file[bit / 8] ^= 1 << (bit % 8) }
            return "bits \(bits)"
        case 2:
            let (from, to) = (page(), page())
            file.replaceSubrange((to * size)..<((to + 1) * size), with: file[(from * size)..<((from + 1) * size)])
            return "page \(from) over \(to)"
        default:
            let (zeroed, isNoise) = (page(), random.number(below: 2) == 0)
            for index in (zeroed * size)..<((zeroed + 1) * size) {
                file[index] = isNoise ? UInt8.random(in: 0...255, using: &random) : 0
            }
            return "page \(zeroed) of \(isNoise ? "noise" : "zeros")"
        }
    }

    @Test(
        "Of a damaged file nothing but what was published is delivered, and what is missing is told",
        arguments: Array(0..<40) + [394, 415, 663, 1219, 1678]
    )
    func pages(_ seed: Int) async throws {
        let original = try await Self.original.value
        var random = SeededGenerator(seed: UInt64(seed))
        var file = original.file
        let what = "seed \(seed), \(damage(&file, &random))"
        try Data(file).write(to: URL(fileURLWithPath: files.path()))
        var options = SQLiteHistoryOptions()
        options.topic.age = .seconds(86_400)
        options.logger = LogRecord().logger
        let history = files.again(options, clock)
        do {
            _ = try await history.open { _ in }
        } catch {
            #expect(error is SQLiteHistoryError, "\(what): \(error)")
            return
        }
        let selections = [
            Selection([.all]), Selection([.pattern(try TopicPattern("t/*"))]), try .topics("t/2"), try .topics("other"),
            try .topics("t/3", "t/4"), try .topics("t/0", "t/1", "e/7"),
        ]
        for selection in selections {
            let read: ReadThrough
            do {
                read = try await history.readThrough(selection)
            } catch {
                // Its subscribers are told that the history cannot be read.
                #expect(error is SQLiteHistoryError, "\(what): \(error)")
                continue
            }
            for entry in read.entries {
                let published = original.entries[entry.position.number]
                #expect(
                    published?.event == entry.event && published?.topics == entry.topics && published?.id == entry.id
                        && published?.isEnd == entry.isEnd,
                    "\(what): \(entry.position) was not published so"
                )
            }
            let got = Set(read.numbers)
            let isInOrder = zip(read.numbers, read.numbers.dropFirst()).allSatisfy { $0 < $1 }
            #expect(isInOrder, "\(what): \(selection.names) topics: out of order, or twice")
            let last = original.entries.values.filter { selection.includes($0) && !got.contains($0.position.number) }
                .map(\.position).max()
            if let last {
                #expect(
                    read.missing.map { $0 >= last } == true,
                    "\(what): \(last) is missing, told is \(String(describing: read.missing))"
                )
            }
        }
        // Whatever this does, it does not end the process.
        for number in UInt8(0)..<20 {
            let event = try NewEvent.test("new", "t/\(number % 5)")
            _ = try? await history.append(AppendRequest([event], key: IdempotencyKey([100 + number])))
            if number % 5 == 0 { clock.advance(by: .seconds(2)) }
        }
        _ = try? await history.append(AppendRequest([], ending: try Topic("t/3")))
        clock.advance(by: .seconds(12))
        await history.expire()
        _ = try? await history.purge(try Topic("t/1"))
        clock.advance(by: .seconds(90_000))
        await history.expire()
        await history.close()
    }
}
#endif
