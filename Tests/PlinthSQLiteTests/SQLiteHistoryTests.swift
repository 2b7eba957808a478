// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Foundation
import GRDB
import PlinthEvents
import PlinthHub
import PlinthHubTesting
import PlinthSQLite
import PlinthStreams
import Synchronization
import Testing

@Suite("SQLite history")
struct SQLiteHistoryTests {
    private let files = TemporaryFiles()
    private let clock = TestClock()

    private func event(_ data: String, _ topics: String..., isRestricted: Bool = false) throws -> NewEvent {
        NewEvent(ServerSentEvent(data: data), topics: try topics.map { try Topic($0) }, isRestricted: isRestricted)
    }

    private func open(_ history: SQLiteHistory) async throws -> Position { try await history.open { _ in } }

    private func data(_ history: SQLiteHistory, _ selectors: TopicSelector..., after: Position? = nil) async throws
        -> (data: [String], missingThrough: Position?)
    {
        var data: [String] = []
        var missing: Position?
        var at = after
        let selection = Selection(selectors)
        while true {
            let batch = try await history.read(after: at, selection: selection, limit: ReadLimit())
            if let through = batch.missingThrough { missing = max(missing ?? .zero, through) }
            data += batch.entries.map(\.event.data)
            if batch.entries.isEmpty, batch.through == at { break }
            if at == batch.through { break }
            at = batch.through
        }
        return (data, missing)
    }

    // MARK: - Over restarts

    @Test("After a restart, everything is as it was")
    func restart() async throws {
        let history = files.history(clock)
        let subject = HubSubject(source: "test", issuer: "issuer", name: "somebody")
        _ = try await open(history)
        let a = try Topic("a")
        let ids = try await history.append(
            AppendRequest([try event("1", "a"), try event("2\n3", "a", "b"), try event("4", "b", isRestricted: true)])
        ).ids
        let producer = try #require(ProducerID(Array("p".utf8)))
        let stamp = ProducerStamp(id: producer, epoch: 3, sequence: 0)
        let numbered = AppendRequest([try event("5", "a")], producer: stamp, subject: subject)
        let fifth = try await history.append(numbered)
        let key = try #require(IdempotencyKey(Array("key".utf8)))
        let keyed = AppendRequest([try event("6", "c")], key: key, subject: subject)
        let sixth = try await history.append(keyed)
        let end = try await history.append(AppendRequest([], ending: a, subject: subject))
        _ = try await history.setLimits(TopicLimits(events: 1), of: try Topic("c"))
        await history.close()

        let again = files.again(clock)
        let head = try await open(again)
        #expect(head == Position(6))
        #expect(try await data(again, .all).data.prefix(5) == ["1", "2\n3", "4", "5", "6"])
        #expect(try await data(again, .exact(try Topic("b"))).data == ["2\n3", "4"])
        for (index, id) in ids.enumerated() {
            #expect(try await again.locate(id) == .found(Position(UInt64(index + 1))))
        }
        #expect(try await again.producer(producer, of: subject, in: a)?.lastID == fifth.lastID)
        #expect(try await again.producer(producer, of: nil, in: a) == nil)
        let repeated = try await again.append(numbered)
        #expect(repeated.repeated == 1 && repeated.lastID == fifth.lastID && repeated.ids.isEmpty)
        let replayed = try await again.append(keyed)
        #expect(replayed.isReplayed && replayed.lastID == sixth.lastID && replayed.count == 1)
        #expect(again.endsNow(of: Selection([.exact(a)]))?.first?.id == end.lastID)
        await #expect(throws: HistoryError.self) { try await again.append(AppendRequest([try event("7", "a")])) }
        _ = try await again.append(AppendRequest([try event("8", "c")]))
        await again.expire()
        #expect(try await data(again, .exact(try Topic("c"))).data == ["8"])
        #expect(try await again.statistics().endedTopics == 1)
    }

    @Test("Events that are no longer in memory are read from the disk, by topics, patterns and the whole log")
    func replaysFromDisk() async throws {
        var options = SQLiteHistoryOptions()
        options.recentBytes = 20_000
        options.cacheBytes = 100_000
        let history = files.history(options, clock)
        _ = try await open(history)
        for start in stride(from: 0, to: 3000, by: 100) {
            let events = try (start..<(start + 100)).map { try event("\($0)", "t/\($0 % 7)") }
            _ = try await history.append(AppendRequest(events))
        }
        let all = (0..<3000).map(String.init)
        for reader in [history, files.again(options, clock)] {
            if reader !== history {
                await history.close()
                _ = try await open(reader)
            }
            #expect(reader.readNow(after: nil, selection: Selection([.all]), limit: ReadLimit()) == nil)
            #expect(try await data(reader, .all).data == all)
            #expect(try await data(reader, .pattern(try TopicPattern("t/*"))).data == all)
            let third = (0..<3000).filter { $0 % 7 == 3 }.map(String.init)
            #expect(try await data(reader, .exact(try Topic("t/3"))).data == third)
            let two = (0..<3000).filter { $0 % 7 == 3 || $0 % 7 == 5 }.map(String.init)
            #expect(try await data(reader, .exact(try Topic("t/3")), .exact(try Topic("t/5"))).data == two)
            #expect(
                try await data(reader, .pattern(try TopicPattern("t/*")), after: Position(1000)).data
                    == Array(all[1000...])
            )
            #expect(try await data(reader, .all).missingThrough == nil)
        }
    }

    @Test("A stream that reads while events are written misses none and gets none twice")
    func readsWhileWriting() async throws {
        var options = SQLiteHistoryOptions()
        options.recentBytes = 10_000
        let history = files.history(options, clock)
        let hub = try await Hub(history: history)
        let topic = try Topic("t")
        let count = 3000
        async let publishing: Void = {
            for number in 0..<count { _ = try await hub.publish(ServerSentEvent(data: "\(number)"), to: topic) }
        }()
        var seen: [String] = []
        try await hub.subscribe(to: .exact(topic), from: .earliest) { updates in
            for try await update in updates {
                switch update {
                case .event(let published): seen.append(published.event.data)
                case .gap(let gap): Issue.record("a gap: \(gap)")
                case .end: Issue.record("an end")
                }
                if seen.count == count { break }
            }
        }
        try await publishing
        #expect(seen == (0..<count).map(String.init))
    }

    // MARK: - Files

    @Test("A second process waits for the file, and then says who has it")
    func locked() async throws {
        var options = SQLiteHistoryOptions()
        options.lockTimeout = .milliseconds(50)
        let history = files.history(options, clock)
        _ = try await open(history)
        let second = files.again(options, clock)
        let error = await #expect(throws: SQLiteHistoryError.self) { _ = try await open(second) }
        #expect(error?.code == .locked)
        #expect(error?.description.contains("process \(getpid())") == true)
        // A restart: the second one gets it as soon as the first has gone.
        options.lockTimeout = .seconds(600)
        let third = files.again(options, clock)
        async let opening = open(third)
        await history.close()
        #expect(try await opening == .zero)
    }

    @Test("A file of something else is refused, and left as it is", arguments: ["text", "other database", "short"])
    func foreign(_ kind: String) async throws {
        let path = files.path()
        switch kind {
        case "text": try Data(repeating: 0x41, count: 5000).write(to: URL(fileURLWithPath: path))
        case "short": try Data("SQLite format 3\0".utf8).write(to: URL(fileURLWithPath: path))
        default:
            let queue = try DatabaseQueue(path: path)
            try await queue.write { try $0.execute(sql: "CREATE TABLE mine (id INTEGER)") }
            try queue.close()
        }
        let before = try Data(contentsOf: URL(fileURLWithPath: path))
        let error = await #expect(throws: SQLiteHistoryError.self) { _ = try await open(files.again(clock)) }
        #expect(error?.code == .foreign)
        #expect(error?.description.contains(path) == true)
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
    }

    @Test("A file of a later version is refused")
    func newer() async throws {
        let history = files.history(clock)
        _ = try await open(history)
        await history.close()
        let queue = try DatabaseQueue(path: "\(files.directory)/1.sqlite")
        try await queue.write { try $0.execute(sql: "UPDATE plinth_meta SET layout = 99") }
        try queue.close()
        let error = await #expect(throws: SQLiteHistoryError.self) { _ = try await open(files.again(clock)) }
        #expect(error?.code == .newer)
    }

    @Test("Nothing is published into a file that was replaced or removed")
    func replaced() async throws {
        let history = files.history(clock)
        _ = try await open(history)
        _ = try await history.append(AppendRequest([try event("1", "a")]))
        try FileManager.default.removeItem(atPath: "\(files.directory)/1.sqlite")
        await history.expire()
        let error = await #expect(throws: HistoryError.self) {
            try await history.append(AppendRequest([try event("2", "a")]))
        }
        #expect(error?.code == .notTaken)
        #expect(error?.description.contains("restart") == true)
        #expect(try await data(history, .all).data == ["1"])
    }

    @Test("The file keeps its bound, and loses the oldest events")
    func bound() async throws {
        var options = SQLiteHistoryOptions()
        options.fileBytes = SQLiteHistoryOptions.minimumFileBytes
        options.topic = HistoryLimits()
        options.recentBytes = 100_000
        options.sync = .normal
        let history = files.history(options, clock)
        _ = try await open(history)
        let text = String(repeating: "x", count: 1000)
        var most = 0
        for start in stride(from: 0, to: 40_000, by: 200) {
            let events = try (start..<(start + 200)).map { try event("\($0) \(text)", "t/\($0 % 5)") }
            _ = try await history.append(AppendRequest(events))
            most = max(most, files.bytes)
        }
        #expect(most <= options.fileBytes, "\(most) bytes")
        let held = try await data(history, .all)
        #expect(held.data.count > 5000)
        #expect(held.data.last == "39999 \(text)")
        #expect(held.missingThrough == Position(UInt64(40_000 - held.data.count)))
    }

    @Test("What does not fit into the file is refused as not taken, and nothing else is harmed")
    func tooLarge() async throws {
        var options = SQLiteHistoryOptions()
        options.fileBytes = SQLiteHistoryOptions.minimumFileBytes
        options.topic = HistoryLimits()
        let history = files.history(options, clock)
        _ = try await open(history)
        _ = try await history.append(AppendRequest([try event("1", "a")]))
        let huge = try event(String(repeating: "x", count: options.fileBytes), "a")
        for request in [AppendRequest([huge]), AppendRequest([try event("2", "a")])] {
            // For a second nothing is tried again.
            let error = await #expect(throws: HistoryError.self) { try await history.append(request) }
            #expect(error?.code == .notTaken)
            #expect(error?.description.contains("room") == true)
        }
        clock.advance(by: .seconds(2))
        _ = try await history.append(AppendRequest([try event("3", "a")]))
        #expect(try await data(history, .all).data == ["1", "3"])
    }

    @Test("No event expires by age while the system's clock has jumped")
    func clockJumps() async throws {
        var options = SQLiteHistoryOptions()
        options.topic.age = .seconds(3600)
        let history = files.history(options, clock)
        _ = try await open(history)
        _ = try await history.append(AppendRequest([try event("1", "a")]))
        clock.jump(by: .seconds(86_400))
        await history.expire()
        #expect(try await data(history, .all).data == ["1"])
        clock.jump(by: .seconds(-86_400))
        clock.advance(by: .seconds(3700))
        _ = try await history.append(AppendRequest([try event("2", "a")]))
        await history.expire()
        #expect(try await data(history, .all).data == ["2"])
    }

    @Test("Limits that are lower after a restart are applied, some topics at a time")
    func lowerLimits() async throws {
        let history = files.history(clock)
        _ = try await open(history)
        for start in 0..<10 {
            let events = try (0..<600).map { try event("\(start)", "t/\($0)") }
            _ = try await history.append(AppendRequest(events))
        }
        await history.close()
        var options = SQLiteHistoryOptions()
        options.topic.events = 2
        let again = files.again(options, clock)
        _ = try await open(again)
        await again.expire()
        #expect(try await again.statistics().events == 1200)
        #expect(try await data(again, .exact(try Topic("t/599"))).data == ["8", "9"])
    }

    // MARK: - Damage

    @Test("A changed or missing row is reported as a gap and never replayed", arguments: 0..<60)
    func damagedRows(_ seed: Int) async throws {
        let history = files.history(clock)
        _ = try await open(history)
        for start in stride(from: 0, to: 400, by: 20) {
            let events = try (start..<(start + 20)).map { try event("\($0)", "t/\($0 % 4)") }
            _ = try await history.append(AppendRequest(events))
        }
        await history.close()
        let number = seed * 6 + 5
        let changes = [
            "DELETE FROM plinth_entry WHERE number = \(number)",
            "UPDATE plinth_entry SET lines = CAST('data: forged' || char(10) AS BLOB) WHERE number = \(number)",
            "UPDATE plinth_entry SET time = time + 1 WHERE number = \(number)",
            "DELETE FROM plinth_place WHERE number = \(number)",
            "UPDATE plinth_place SET topic = CAST('t/0' AS BLOB) WHERE number = \(number)",
            "DELETE FROM plinth_place WHERE number >= \(number)",
        ]
        let change = changes[seed % changes.count]
        let queue = try DatabaseQueue(path: "\(files.directory)/1.sqlite")
        try await queue.write { try $0.execute(sql: change) }
        try queue.close()
        let again = files.again(clock)
        _ = try await open(again)
        let topic = (number - 1) % 4
        for selector in [TopicSelector.all, .exact(try Topic("t/\(topic)"))] {
            let read = try await data(again, selector)
            let whole = (0..<400).filter { selector.isAll || $0 % 4 == topic }.map(String.init)
            #expect(Set(read.data).isSubset(of: whole), "\(change): something that was not published")
            #expect(read.data == whole.filter(Set(read.data).contains), "\(change): out of order")
            if let last = whole.last(where: { !read.data.contains($0) }).flatMap({ UInt64($0) }) {
                let missing = try #require(read.missingThrough, "\(change): \(last) is missing, and no gap is told")
                #expect(missing >= Position(last + 1), "\(change)")
            }
        }
    }
}

extension TopicSelector {
    fileprivate var isAll: Bool { description == TopicSelector.all.description }
}
#endif
