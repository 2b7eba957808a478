// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import PlinthTestSupport
import Synchronization
import Testing

@testable import PlinthHub

/// A wrong sequence, with the seed and step that lead to it.
struct Violation: Error, CustomStringConvertible {
    let description: String
}

/// Connections that take as many bytes as the model allows.
final class ModelSink: StreamSink {
    var room: [Int: Int] = [:]
    var received: [Int: [UInt8]] = [:]
    var isBroken: Set<Int> = []

    func write(_ bytes: UnsafeRawBufferPointer, to slot: Int) -> StreamWrite {
        if isBroken.contains(slot) { return .failed(.clientClosed) }
        let taken = min(bytes.count, room[slot] ?? 0)
        room[slot]? -= taken
        received[slot, default: []].append(contentsOf: bytes.prefix(taken))
        return .took(taken)
    }
}

/// A history whose answers arrive when the model decides.
private final class LateHistory: MemoryBackedHistory {
    let memory: MemoryHistory
    init(_ memory: MemoryHistory) { self.memory = memory }
}

/// Random steps of a distributor, its history and its subscribers, each followed by checks.
struct DeliveryModel {
    struct Published {
        let topics: [Topic]
        let isRestricted: Bool
        let data: String
        var isEnd = false
    }

    struct Reader {
        let selection: Selection
        let form: StreamForm
        var isEarliest: Bool
        /// What may be missing by the last gap: events that were not held then, up to a position.
        var excuse: (held: Set<UInt64>, through: UInt64) = ([], 0)

        func isExcused(_ number: UInt64) -> Bool { number <= excuse.through && !excuse.held.contains(number) }
        /// The last position that it has, or that a gap moved it to.
        var position: UInt64
        /// Whether it asked for an unknown ID, and no gap has been reported yet.
        var isUnknown: Bool
        var decoder = ChunkDecoder()
        var parser = ServerSentEventParser()
        /// The topics whose ends it was told, or knew when it began.
        var told: Set<Topic> = []
        /// Whether it may be told of ends of before its start.
        var isTold = false

        /// Whether everything that it receives has ended.
        var isOver: Bool { selection.isExact && !told.isEmpty && told.count >= selection.names }
    }

    let seed: UInt64
    let answersLater: Bool
    var random: SeededGenerator
    let memory: MemoryHistory
    let history: any History
    var distributor: Distributor
    let sink = ModelSink()
    var published: [UInt64: Published] = [:]
    /// The positions published, in order.
    var order: [UInt64] = []
    var number = 0
    /// The topics that have ended, with the positions of their ends.
    var ended: [Topic: UInt64] = [:]
    var epochs = 0
    var readers: [Int: Reader] = [:]
    /// Appended, not yet delivered.
    var pending: [HistoryEntry] = []
    var asked: [Distributor.ReadRequest] = []
    var now = MonotonicTime(nanoseconds: 1_000_000_000)
    let topics: [Topic]
    let entries: Box

    /// The state that the history's closures use.
    final class Box: Sendable {
        private let state = Mutex((delivered: [HistoryEntry](), now: MonotonicTime(nanoseconds: 1_000_000_000)))

        var now: MonotonicTime {
            get { state.withLock { $0.now } }
            set { state.withLock { $0.now = newValue } }
        }

        func add(_ entries: [HistoryEntry]) { state.withLock { $0.delivered += entries } }

        func take() -> [HistoryEntry] {
            state.withLock { state in
                defer { state.delivered = [] }
                return state.delivered
            }
        }
    }

    init(seed: UInt64, answersLater: Bool) {
        self.seed = seed
        self.answersLater = answersLater
        random = SeededGenerator(seed: seed)
        let box = Box()
        entries = box
        let ages: [Duration?] = [nil, .seconds(3)]
        memory = MemoryHistory(
            topic: HistoryLimits(
                events: Int.random(in: 1...40, using: &random),
                age: ages.randomElement(using: &random) ?? nil
            ),
            total: HistoryLimits(events: Int.random(in: 20...120, using: &random)),
            token: Array("77".utf8),
            now: { box.now }
        )
        history = answersLater ? LateHistory(memory) : memory
        distributor = Distributor(
            history: history,
            options: StreamOptions(heartbeat: .seconds(1), writeTimeout: .seconds(30)),
            head: .zero
        )
        topics = ["a", "b", "c", "d/1", "d/2", "d/3/x", "e"].compactMap { try? Topic($0) }
    }

    mutating func run(steps: Int) async throws {
        let memory = self.memory
        let box = entries
        _ = try await memory.open { box.add($0) }
        for step in 0..<steps {
            do {
                try await self.step()
            } catch let violation as Violation {
                throw Violation(description: "seed \(seed), step \(step): \(violation.description)")
            }
        }
        try finish()
    }

    mutating func step() async throws {
        now = MonotonicTime(nanoseconds: now.nanoseconds + Int64.random(in: 0...3_000_000, using: &random))
        entries.now = now
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<35: try publish()
        case 35..<60: bringOut()
        case 60..<70: if readers.count < 40 { join() }
        case 70..<92: giveRoom()
        case 92..<94: leave()
        case 94:
            switch Int.random(in: 0..<4, using: &random) {
            case 0: try end()
            case 1: try await limit()
            case 2: beginEpoch()
            default: try await purge()
            }
        case 95:
            if Bool.random(using: &random) {
                skip()
            } else {
                // Sometimes heartbeats are due, which may not fit.
                if Bool.random(using: &random) { now = now + .milliseconds(1100) }
                entries.now = now
                distributor.tick(sink, now: now)
            }
        default: answer()
        }
        try settle()
    }

    // MARK: - Steps

    mutating func publish() throws {
        var events: [NewEvent] = []
        var made: [Published] = []
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let count = Int.random(in: 0..<10, using: &random) == 0 ? 2 : 1
            let topics = Array(self.topics.filter { ended[$0] == nil }.shuffled(using: &random).prefix(count))
            guard !topics.isEmpty else { return }
            let isRestricted = Int.random(in: 0..<8, using: &random) == 0
            number += 1
            let data = "\(number) " + String(repeating: "x", count: Int.random(in: 0..<60, using: &random))
            made.append(Published(topics: topics, isRestricted: isRestricted, data: data))
            events.append(NewEvent(ServerSentEvent(data: data), topics: topics, isRestricted: isRestricted))
        }
        append(AppendRequest(events), made)
    }

    /// Ends a topic, sometimes with an event.
    mutating func end() throws {
        guard let topic = topics.filter({ ended[$0] == nil }).randomElement(using: &random) else { return }
        let isRestricted = Int.random(in: 0..<8, using: &random) == 0
        let data = "{\"topic\":\"\(topic.name)\"}"
        var made = [Published(topics: [topic], isRestricted: isRestricted, data: data, isEnd: true)]
        var events: [NewEvent] = []
        if Bool.random(using: &random) {
            made.insert(Published(topics: [topic], isRestricted: false, data: "last"), at: 0)
            events.append(NewEvent(ServerSentEvent(data: "last"), topics: [topic]))
        }
        append(AppendRequest(events, ending: topic, isEndRestricted: isRestricted), made)
        ended[topic] = order.last
    }

    mutating func append(_ request: AppendRequest, _ made: [Published]) {
        #expect(throws: Never.self) { try memory.appendNow(request) }
        let new = entries.take()
        for (entry, made) in zip(new, made) {
            published[entry.position.number] = made
            order.append(entry.position.number)
        }
        pending += new
    }

    mutating func limit() async throws {
        let topic = topics[Int.random(in: 0..<topics.count, using: &random)]
        let ages: [Duration?] = [nil, .seconds(1), .seconds(5)]
        let limits = TopicLimits(
            events: Int.random(in: 0...20, using: &random),
            age: ages.randomElement(using: &random) ?? nil
        )
        let memory = self.memory
        _ = try await memory.setLimits(limits, of: topic)
    }

    mutating func beginEpoch() {
        guard epochs < 200 else { return }
        epochs += 1
        memory.beginEpoch(Array("e\(epochs)".utf8), hole: [0, 3, 1 << 32].randomElement(using: &random) ?? 0)
    }

    mutating func bringOut() {
        guard !pending.isEmpty else { return }
        let count = Int.random(in: 1...pending.count, using: &random)
        distributor.deliver(Array(pending.prefix(count)), sink, now: now)
        pending.removeFirst(count)
    }

    /// Skips some pending events, which must then be read from history.
    mutating func skip() {
        guard !pending.isEmpty else { return }
        let count = Int.random(in: 1...pending.count, using: &random)
        distributor.skip(to: pending[count - 1].position)
        pending.removeFirst(count)
    }

    mutating func join() {
        let selectors: [TopicSelector]
        switch Int.random(in: 0..<6, using: &random) {
        case 0: selectors = [.all]
        case 1:
            selectors = ["d/*", "d/**", "**"].compactMap { try? .pattern(TopicPattern($0)) }.shuffled(using: &random)
                .dropLast()
        case 2: selectors = topics.shuffled(using: &random).prefix(3).map { .exact($0) }
        case 3: selectors = [.exact(topics[0])] + ["d/*"].compactMap { try? .pattern(TopicPattern($0)) }
        default: selectors = [.exact(topics[Int.random(in: 0..<topics.count, using: &random)])]
        }
        let allowed: [TopicSelector] = Bool.random(using: &random) ? [.all] : [.exact(topics[1])]
        let selection = Selection(selectors, allowed: allowed)
        let form = StreamForm(isChunked: Bool.random(using: &random), namesTopic: selection.only == nil)
        var query: StartQuery?
        switch Int.random(in: 0..<5, using: &random) {
        case 0: break
        case 1: query = EventID(utf8: Array("other-\"5".utf8)).map { StartQuery(after: $0) }
        case 2:
            let position = Position(order.randomElement(using: &random) ?? 0)
            query = StartQuery(after: memory.id(at: position))
        default: query = StartQuery(live: distributor.head)
        }
        // Sometimes the history has not located it yet.
        let isLate = answersLater && Bool.random(using: &random)
        let located = query.flatMap { memory.locateNow($0, selection) } ?? LocatedStart(position: nil)
        let start = isLate ? query?.unanswered ?? located : located
        let slot = distributor.add(selection, start, form, now: now)
        sink.room[slot] = Int.random(in: 0..<400, using: &random)
        sink.received[slot] = []
        sink.isBroken.remove(slot)
        readers[slot] = Reader(
            selection: selection,
            form: form,
            isEarliest: located.position == nil && located.unknown == nil,
            position: located.position?.number ?? 0,
            isUnknown: located.unknown != nil,
            told: located.sendsEnds ? [] : Set(located.ended.map(\.topic)),
            isTold: located.sendsEnds
        )
    }

    mutating func giveRoom() {
        guard let slot = readers.keys.sorted().randomElement(using: &random) else { return }
        sink.room[slot] = Int.random(in: 0..<3000, using: &random)
        distributor.isWritable(slot, sink, now: now)
    }

    mutating func leave() {
        guard let slot = readers.keys.sorted().randomElement(using: &random) else { return }
        switch Int.random(in: 0..<3, using: &random) {
        case 0: sink.isBroken.insert(slot)
        case 1: distributor.remove(slot, .clientClosed)
        default: distributor.end(slot, .ended, sink, now: now)
        }
    }

    mutating func purge() async throws {
        let topic = topics[Int.random(in: 0..<topics.count, using: &random)]
        let memory = self.memory
        _ = try await memory.purge(topic)
        ended[topic] = nil
    }

    /// Answers one of the pending reads.
    mutating func answer() {
        asked += distributor.requests
        distributor.requests = []
        guard let index = asked.indices.randomElement(using: &random) else { return }
        let request = asked.remove(at: index)
        // History fails to answer now and then, and is asked again.
        guard Int.random(in: 0..<20, using: &random) > 0 else {
            return distributor.didRead(request, nil, sink, now: now)
        }
        if let query = request.start {
            let located = memory.locateNow(query, request.selection)
            return distributor.didRead(request, located.map { .located($0) }, sink, now: now)
        }
        let limit = ReadLimit(events: 5, bytes: 500, work: 10)
        let batch = memory.readNow(after: request.position, selection: request.selection, limit: limit)
        distributor.didRead(request, batch.map { .batch($0) }, sink, now: now)
    }

    mutating func settle() throws {
        for (slot, reader) in readers where reader.isEarliest && distributor.states[slot].isFromEarliest {
            // It begins with what is held at its first read; it never asked for what is missing then.
            let held = Set(heldPositions(reader.selection))
            readers[slot]?.excuse = (held, order.last ?? 0)
        }
        if !distributor.unfinished.isEmpty { distributor.proceed(sink, now: now) }
        for slot in readers.keys { try check(slot) }
        for ended in distributor.ended { readers[ended.slot] = nil }
        distributor.ended = []
    }

    /// Gives all remaining readers room; each must then receive everything.
    mutating func finish() throws {
        while !pending.isEmpty { bringOut() }
        for round in 0..<10_000 {
            asked += distributor.requests
            distributor.requests = []
            var isIdle = asked.isEmpty && distributor.unfinished.isEmpty && distributor.behind == 0
            if round < 3 { isIdle = false }
            if isIdle { break }
            while !asked.isEmpty { answer() }
            // Those that history failed to answer ask again.
            now = now + .milliseconds(1100)
            entries.now = now
            distributor.tick(sink, now: now)
            for slot in readers.keys.sorted() {
                sink.room[slot] = 1 << 20
                distributor.isWritable(slot, sink, now: now)
            }
            try settle()
        }
        #expect(distributor.behind == 0, "seed \(seed): a subscriber stays behind")
        for (slot, reader) in readers where !sink.isBroken.contains(slot) {
            let missing = missed(reader, upTo: .max).filter { !reader.isExcused($0) }
            guard missing.isEmpty else { throw Violation(description: "reader \(slot) never received \(missing)") }
            guard !isOver(reader) else {
                throw Violation(description: "reader \(slot) stays, though all its topics have ended")
            }
        }
    }

    // MARK: - Checks

    /// The events between the reader's position and another that it should have received.
    func missed(_ reader: Reader, upTo position: UInt64) -> [UInt64] {
        let start = order.partitioningIndex { $0 > reader.position }
        return order[start...].prefix { $0 < position }.filter { number in
            guard let event = published[number] else { return false }
            return reader.selection.includes(event.topics, isRestricted: event.isRestricted)
        }
    }

    mutating func check(_ slot: Int) throws {
        guard var reader = readers[slot], let bytes = sink.received[slot], !bytes.isEmpty else { return }
        sink.received[slot] = []
        let body = reader.form.isChunked ? try reader.decoder.decode(bytes) : bytes
        var events: [ServerSentEvent] = []
        try reader.parser.parse(body) { events.append($0) }
        for event in events {
            let parts = (event.id ?? "").split(separator: "\t", omittingEmptySubsequences: false)
            guard let digits = parts.first?.split(separator: "-").last, let number = UInt64(digits) else {
                throw Violation(description: "no position in \(event)")
            }
            if event.type == "gap" {
                // A gap may be needless, but must not skip events that are held.
                let held = Set(heldPositions(reader.selection))
                let skipped = missed(reader, upTo: number + 1).filter { held.contains($0) }
                guard skipped.isEmpty else {
                    throw Violation(description: "a gap skips events that are held: \(skipped)")
                }
                guard number >= reader.position else { throw Violation(description: "a gap moves back") }
                guard event.data.contains(#""through":"#) else { throw Violation(description: "a gap without its end") }
                let through = event.data.split(separator: "\"").last { $0.contains("-") }?.split(separator: "-").last
                reader.excuse = (held, max(reader.excuse.through, max(number, through.flatMap { UInt64($0) } ?? 0)))
                reader.position = number
                reader.isUnknown = false
                reader.isEarliest = false
                continue
            }
            guard !reader.isUnknown else { throw Violation(description: "an unknown ID, but no gap reported") }
            if event.type == "end", reader.isTold, number == reader.position {
                // The end of a topic that had ended before the stream began.
                guard let topic = topics.first(where: { event.data == "{\"topic\":\"\($0.name)\"}" }),
                    reader.told.insert(topic).inserted
                else { throw Violation(description: "an end that was told before: \(event)") }
                continue
            }
            guard number > reader.position else {
                throw Violation(
                    description: "position \(number) after \(reader.position) for \(reader.selection.wanted)"
                )
            }
            let missing = missed(reader, upTo: number).filter { !reader.isExcused($0) }
            guard missing.isEmpty else {
                throw Violation(
                    description:
                        "reader \(slot) of \(reader.selection.wanted) received \(number) without \(missing): \(missing.map { published[$0] })"
                )
            }
            guard let original = published[number] else {
                throw Violation(description: "an event that was never published: \(event)")
            }
            guard reader.selection.includes(original.topics, isRestricted: original.isRestricted),
                event.data == original.data, (event.type == "end") == original.isEnd
            else { throw Violation(description: "an event that is not for this reader, or not as published: \(event)") }
            if reader.form.namesTopic {
                // A topic that was purged since is not named.
                let named = original.topics.first { $0.name == parts.last.map(String.init) }
                guard named.map(reader.selection.wants) ?? false else {
                    throw Violation(description: "no topic that is wanted in \(event)")
                }
            }
            if original.isEnd { reader.told.formUnion(original.topics) } else { reader.told.subtract(original.topics) }
            reader.isTold = false
            reader.position = number
            reader.isEarliest = false
        }
        readers[slot] = reader
        // A stream continues if one of its topics was opened again.
        let phase = distributor.states[slot].phase
        let isLocated = distributor.waits[slot]?.query == nil
        guard !isOver(reader) || phase == .free || phase == .ending || !isLocated else {
            throw Violation(description: "reader \(slot) is \(phase), though all its topics have ended")
        }
    }

    /// Whether everything that a reader receives has ended, and it has been told.
    func isOver(_ reader: Reader) -> Bool {
        reader.isOver
            && reader.told.allSatisfy { topic in
                // A topic that was opened again may have ended with an end that is not for this reader.
                guard let position = ended[topic], position <= reader.position, let end = published[position] else {
                    return false
                }
                return reader.selection.includes(end.topics, isRestricted: end.isRestricted)
            }
    }

    func heldPositions(_ selection: Selection) -> [UInt64] {
        let limit = ReadLimit(events: .max, bytes: .max, work: .max)
        return memory.readNow(after: nil, selection: selection, limit: limit)?.entries.map(\.position.number) ?? []
    }
}

extension [UInt64] {
    /// The index of the first element that satisfies a predicate, which all after it satisfy too.
    fileprivate func partitioningIndex(_ isAfter: (UInt64) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if isAfter(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
