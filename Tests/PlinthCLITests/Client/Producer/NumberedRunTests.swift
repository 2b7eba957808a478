// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import PlinthTestSupport
import Testing

@testable import PlinthCLI

/// Runs that are killed at random steps, against a hub that follows the producer rules.
@Suite("NumberedRun")
struct NumberedRunTests {
    /// A source of events with the IDs `f-1`, `f-2` and so on; every seventh has a reserved type.
    private struct Source {
        let count: Int
        /// The events that the source does not hold any more.
        var dropped: Set<Int> = []

        func isReserved(_ number: Int) -> Bool { number.isMultiple(of: 7) }

        /// The numbers of the events to be published.
        var published: [Int] { (1...count).filter { !isReserved($0) } }

        /// The JSON lines after an ID.
        func lines(after mark: String?) -> [String] {
            let first = mark.flatMap { Int($0.dropFirst(2)) } ?? 0
            return (first + 1..<count + 1).filter { !dropped.contains($0) }.map { number in
                "{\"type\":\"\(isReserved(number) ? "gap" : "a")\",\"data\":\"\(number)\",\"id\":\"f-\(number)\"}\n"
            }
        }
    }

    private struct Outcome {
        var kills = 0
        var notes: [String] = []
        var acknowledged = 0
        var hasEnded = false
    }

    /// Runs until a run completes, with kills at random steps; calls a closure after each kill.
    private func run(
        _ hub: ModelHub,
        _ source: inout Source,
        ends: Bool = false,
        betweenRuns: (ModelHub, inout Source, ProducerNumbers) -> Void = { _, _, _ in }
    ) async throws -> Outcome {
        var file: [UInt8] = []
        var outcome = Outcome()
        while true {
            let numbers = try ProducerNumbers(file, producer: "p")
            hub.stepsLeft = outcome.kills < 40 ? hub.random(1...30) : .max
            var run = NumberedRun(
                numbers,
                hub: hub,
                skipsReserved: true,
                store: { new in
                    try hub.step()
                    file = new.fileContent
                    try hub.step()
                },
                note: { outcome.notes.append($0) }
            )
            do {
                try await run.begin()
                var lines = EventLines(.json)
                var rest = source.lines(after: numbers.mark)[...]
                while !rest.isEmpty {
                    var batch = EventLines.Batch()
                    for line in rest.prefix(hub.random(1...6)) {
                        try lines.append(Array(line.utf8), to: &batch)
                        rest.removeFirst()
                    }
                    try await run.publish(batch)
                }
                if ends { outcome.hasEnded = try await run.end() }
                outcome.acknowledged += run.acknowledged
                return outcome
            } catch is ModelHub.Killed {
                outcome.kills += 1
                betweenRuns(hub, &source, try ProducerNumbers(file, producer: "p"))
            }
        }
    }

    @Test("A bridge killed at any step publishes each event once and in order")
    func kills() async throws {
        for seed in 0..<400 as Range<UInt64> { try await kills(seed) }
    }

    private func kills(_ seed: UInt64) async throws {
        let hub = ModelHub(seed: seed)
        var source = Source(count: 40)
        let outcome = try await run(hub, &source, ends: true)
        #expect(hub.taken == source.published, "seed \(seed)")
        #expect(hub.ends == 1 && outcome.hasEnded, "seed \(seed): \(hub.ends)")
        #expect(outcome.kills > 0)
        let others = outcome.notes.filter { !$0.contains("the event is skipped") && $0 != "the topic had ended" }
        #expect(others.isEmpty, "seed \(seed): \(others)")
    }

    @Test("If the source drops events under way, none is published twice")
    func dropped() async throws {
        for seed in 0..<200 as Range<UInt64> { try await dropped(seed) }
    }

    private func dropped(_ seed: UInt64) async throws {
        let hub = ModelHub(seed: seed)
        // A request that arrives between the question and the new epoch could bring an event a second time.
        hub.delaysRequests = false
        var source = Source(count: 40)
        _ = try await run(hub, &source) { hub, source, numbers in
            guard hub.random(0...3) == 0, let entry = numbers.underWay.first, let id = entry.id else { return }
            source.dropped.insert(Int(id.dropFirst(2)) ?? 0)
        }
        #expect(Set(hub.taken).count == hub.taken.count, "seed \(seed)")
        #expect(Set(source.published).subtracting(source.dropped).isSubset(of: hub.taken), "seed \(seed)")
        #expect(hub.taken == hub.taken.sorted(), "seed \(seed)")
    }

    @Test("If the hub loses the producer's state, nothing is lost")
    func forgetting() async throws {
        for seed in 0..<200 as Range<UInt64> { try await forgetting(seed) }
    }

    private func forgetting(_ seed: UInt64) async throws {
        let hub = ModelHub(seed: seed)
        hub.forgetsState = true
        var source = Source(count: 40)
        _ = try await run(hub, &source)
        #expect(Set(hub.taken) == Set(source.published), "seed \(seed)")
    }

    @Test("A bridge that another process has fenced fails, and publishes nothing")
    func fenced() async throws {
        let hub = ModelHub(seed: 1)
        hub.known = ProducerState(epoch: 5, last: 0)
        let numbers = ProducerNumbers("p", epoch: 4, next: 1, mark: nil, underWay: [], taken: [])
        var run = NumberedRun(numbers, hub: hub, skipsReserved: true, store: { _ in }, note: { _ in })
        await #expect(throws: ProducerNumbers.Failure.self) { try await run.begin() }
        #expect(hub.taken.isEmpty)
    }

    @Test("With reserved types that fail, the run ends at such an event and keeps its number")
    func reservedFails() async throws {
        let hub = ModelHub(seed: 1)
        hub.isQuiet = true
        var file = ProducerNumbers("p")
        var run = NumberedRun(file, hub: hub, skipsReserved: false, store: { file = $0 }, note: { _ in })
        try await run.begin()
        var lines = EventLines(.json)
        var batch = EventLines.Batch()
        for line in Source(count: 8).lines(after: nil) { try lines.append(Array(line.utf8), to: &batch) }
        await #expect(throws: HubPublisher.Failure.self) { try await run.publish(batch) }
        #expect(hub.taken == [1, 2, 3, 4, 5, 6])
        #expect(file.mark == "f-6" && file.underWay.map(\.id) == ["f-7", "f-8"])
        #expect(run.rest.lines == [7, 8])
    }
}

/// A hub that follows the producer rules, loses responses, accepts parts of requests, and receives some requests of
/// killed processes late.
private final class ModelHub: NumberedHub {
    struct Killed: Error {}

    private typealias Request = (events: [(data: Int, isReserved: Bool)], stamp: ProducerStamp)

    var known: ProducerState?
    /// The data of the events taken.
    private(set) var taken: [Int] = []
    private(set) var ends = 0
    /// The steps until the process is killed.
    var stepsLeft = Int.max
    var delaysRequests = true
    var forgetsState = false
    /// Whether nothing goes wrong.
    var isQuiet = false
    private var late: [Request] = []
    private var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    func random(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }

    /// A step of the process, at which it may be killed.
    func step() throws {
        guard !isQuiet else { return }
        stepsLeft -= 1
        if stepsLeft <= 0 { throw Killed() }
        if !late.isEmpty, random(0...3) == 0 { _ = try? take(late.removeFirst()) }
        if forgetsState, random(0...40) == 0 { known = nil }
    }

    func state(of producer: String) async throws -> ProducerState? {
        try step()
        let known = known
        try step()
        return known
    }

    func publish(_ batch: EventLines.Batch, _ stamp: ProducerStamp) async throws -> String {
        let blocks = String(decoding: batch.bytes, as: UTF8.self).split(separator: "\n\n")
        let request: Request = (
            blocks.map { block in
                let data = block.split(separator: "\n").last?.dropFirst("data: ".count) ?? ""
                return (Int(data) ?? 0, block.hasPrefix("event: gap"))
            }, stamp
        )
        try send(request)
        try take(request)
        try step()
        // The response is lost, and the request repeated.
        if !isQuiet, random(0...4) == 0 { try take(request) }
        return "h-\(taken.count)"
    }

    func end(_ stamp: ProducerStamp) async throws -> HubPublisher.Published {
        try step()
        let count = try Self.knownCount(stamp, 1, known)
        if count == 0 {
            ends += 1
            known = ProducerState(epoch: stamp.epoch, last: stamp.sequence)
        }
        try step()
        return HubPublisher.Published(id: "h-end", isRepeated: count == 1)
    }

    /// Kills the process before the request has arrived; it may arrive later.
    private func send(_ request: Request) throws {
        do {
            try step()
        } catch {
            if delaysRequests, random(0...1) == 0 { late.append(request) }
            throw error
        }
    }

    private func take(_ request: Request) throws {
        var rest = request.events[...]
        var accepted = 0
        while !rest.isEmpty {
            // Each append is taken as a whole or not at all.
            let part = rest.prefix(isQuiet ? .max : random(1...4)).prefix { !$0.isReserved }
            if part.isEmpty { throw Self.failure(accepted, "type-reserved") }
            if accepted > 0, !isQuiet, random(0...9) == 0 { throw Self.failure(accepted, "not-taken") }
            var stamp = request.stamp
            stamp.sequence += UInt64(accepted)
            let count: Int
            do {
                count = try Self.knownCount(stamp, part.count, known)
            } catch let code as Code {
                throw Self.failure(accepted, code.text)
            }
            taken += part.dropFirst(count).map(\.data)
            if count < part.count {
                known = ProducerState(epoch: stamp.epoch, last: stamp.sequence + UInt64(part.count - 1))
            }
            accepted += part.count
            rest = rest.dropFirst(part.count)
        }
    }

    private struct Code: Error { let text: String }

    /// How many of `count` events are known.
    private static func knownCount(_ stamp: ProducerStamp, _ count: Int, _ known: ProducerState?) throws -> Int {
        guard let known else {
            if stamp.sequence > 0 { throw Code(text: "producer-unknown") }
            return 0
        }
        if stamp.epoch < known.epoch { throw Code(text: "producer-fenced") }
        if stamp.epoch > known.epoch {
            if stamp.sequence > 0 { throw Code(text: "sequence-hole") }
            return 0
        }
        if stamp.sequence > known.last + 1 { throw Code(text: "sequence-hole") }
        return min(count, Int(known.last + 1 - stamp.sequence))
    }

    private static func failure(_ accepted: Int, _ code: String) -> HubPublisher.Failure {
        HubPublisher.Failure(kind: .refused, accepted: accepted, lastID: "h", code: code, reason: "refused: \(code)")
    }
}
#endif
