// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport
import Foundation
import Plinth
import PlinthHub
import PlinthServer
import Synchronization
import Testing

/// Subscribers that come and go during publishing: no event is lost or delivered twice.
///
/// Lasts until each has come twenty times on average, or `PLINTH_CHURN_VISITS` times.
@Suite("Hub churn")
struct HubChurnTests {
    private static let topics = 5
    private static let subscribers = 30
    private static let seed: UInt64 = 0x9_2026

    private static var visits: Int {
        subscribers * (ProcessInfo.processInfo.environment["PLINTH_CHURN_VISITS"].flatMap { Int($0) } ?? 20)
    }

    /// The type of the last event of each topic.
    private static let last = "last"

    /// What the subscribers have done so far.
    private final class Progress: Sendable {
        let visits = Atomic(0)
        /// The events that one subscriber of all topics has.
        let seen = Atomic(0)
    }

    /// A subscriber's target, and the topics it selects.
    private static func target(_ number: Int) -> (path: String, topics: Set<Int>) {
        switch number % 4 {
        case 0: ("/topics/churn/\(number % topics)", [number % topics])
        case 1:
            (
                "/topics?topic=churn/\(number % topics)&topic=churn/\((number + 2) % topics)",
                [number % topics, (number + 2) % topics]
            )
        case 2: ("/topics?match=churn/*", Set(0..<topics))
        default: ("/topics/churn%2F\((number + 1) % topics)?last-event-id=earliest", [(number + 1) % topics])
        }
    }

    /// Reads, leaves after a random number of events in a random way, and resumes, until it has the last event of each
    /// of its topics.
    private func comeAndGo(_ hub: HubServer, _ number: Int, _ progress: Progress) async throws -> [Int] {
        var random = SeededGenerator(seed: Self.seed &+ UInt64(number))
        let (path, topics) = Self.target(number)
        var events: [Int] = []
        var ended = 0
        var lastEventID = "earliest"
        while ended < topics.count {
            progress.visits.wrappingAdd(1, ordering: .relaxed)
            let client = try await hub.subscribe(path, "Last-Event-ID: \(lastEventID)\r\n")
            let count = Int.random(in: 0...300, using: &random)
            let ends = topics.count - ended
            let read = try await client.events("events of subscriber \(number)") { read in
                read.count >= count || read.count { $0.type == Self.last } == ends
            }
            for event in read {
                guard let published = Int(event.data), event.type == nil || event.type == Self.last else {
                    throw RawClient.Failure(description: "subscriber \(number): an event \(event)")
                }
                events.append(published)
                if event.type == Self.last { ended += 1 }
            }
            if topics.count == Self.topics { progress.seen.store(events.count, ordering: .relaxed) }
            if !client.lastEventID.isEmpty { lastEventID = client.lastEventID }
            switch Int.random(in: 0..<3, using: &random) {
            case 0: client.raw.reset()
            case 1: client.raw.shutdownWrite()
            default: break
            }
            client.raw.close()
        }
        return events
    }

    @Test(
        "Thirty subscribers that leave and resume at random get every event once, in order",
        .timeLimit(.minutes(3)),
        arguments: Held.allCases
    )
    func churn(held: Held) async throws {
        print("churn: seed \(Self.seed), \(held)")
        let plenty = HistoryLimits(events: 1_000_000, bytes: 1 << 30)
        try await withHub(held.configuration, history: MemoryHistory(topic: plenty, total: plenty)) { hub in
            let progress = Progress()
            try await withThrowingTaskGroup(of: (Int, [Int]).self) { group in
                for number in 0..<Self.subscribers {
                    group.addTask { (number, try await comeAndGo(hub, number, progress)) }
                }
                let published = try await publish(hub, progress)
                for try await (number, events) in group {
                    let topics = Self.target(number).topics
                    let expected = published.indices.filter { topics.contains(published[$0]) }
                    #expect(events == expected, "subscriber \(number): \(Self.difference(events, expected))")
                }
                print("churn: \(held): \(published.count) events, \(progress.visits.load(ordering: .relaxed)) visits")
            }
        }
    }

    /// Publishes numbered events, in batches of 1 to 20, until the subscribers have come and gone often enough.
    ///
    /// - Returns: The topic of each event.
    private func publish(_ hub: HubServer, _ progress: Progress) async throws -> [Int] {
        var random = SeededGenerator(seed: Self.seed)
        let topics = try (0..<Self.topics).map { try Topic("churn/\($0)") }
        var published: [Int] = []
        while progress.visits.load(ordering: .relaxed) < Self.visits {
            var batch: [NewEvent] = []
            for _ in 0..<Int.random(in: 1...20, using: &random) {
                let topic = Int.random(in: 0..<Self.topics, using: &random)
                batch.append(NewEvent(ServerSentEvent(data: "\(published.count)"), topics: [topics[topic]]))
                published.append(topic)
            }
            try await hub.hub.publish(batch)
            // As fast as they read, so that they are live as often as behind.
            repeat {
                await Task.yield()
            } while published.count - progress.seen.load(ordering: .relaxed) > 1000
                && progress.visits.load(ordering: .relaxed) < Self.visits
        }
        for (number, topic) in topics.enumerated() {
            let event = try ServerSentEvent(type: Self.last, data: "\(published.count)")
            try await hub.hub.publish(event, to: topic)
            published.append(number)
        }
        return published
    }

    private static func difference(_ events: [Int], _ expected: [Int]) -> String {
        let lost = Set(expected).subtracting(events)
        let at = zip(events, expected).firstIndex { $0 != $1 }
        return "\(lost.count) lost, \(events.count - Set(events).count) twice; they differ at \(at ?? -1)"
    }
}

extension Sequence {
    /// The offset of the first element that satisfies a predicate.
    fileprivate func firstIndex(where isMeant: (Element) -> Bool) -> Int? {
        enumerated().first { isMeant($0.element) }?.offset
    }
}

#endif
