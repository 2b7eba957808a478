// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport
import Foundation
import Plinth
import PlinthHub
import PlinthServer
import Testing

/// Subscribers that come and go during publishing: no event is lost or delivered twice.
///
/// Lasts 8 s, or `PLINTH_CHURN_SECONDS`.
@Suite("Hub churn")
struct HubChurnTests {
    private static let topics = 5
    private static let subscribers = 30
    private static let eventsPerSecond = 1000
    private static let seed: UInt64 = 0x9_2026

    private static var duration: Duration {
        .seconds(ProcessInfo.processInfo.environment["PLINTH_CHURN_SECONDS"].flatMap { Int($0) } ?? 8)
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

    /// Reads, leaves at a random moment in a random way, and resumes, until it has its last event.
    private func comeAndGo(_ hub: HubServer, _ number: Int, published: Recorder<Int>) async throws -> (
        events: [Int], visits: Int
    ) {
        var random = SeededGenerator(seed: Self.seed &+ UInt64(number))
        let (path, topics) = Self.target(number)
        var events: [Int] = []
        var lastEventID = "earliest"
        var visits = 0
        while true {
            visits += 1
            let client = try await hub.subscribe(path, "Last-Event-ID: \(lastEventID)\r\n")
            let time = Double.random(in: 0...0.4, using: &random)
            let read = try await client.eventsWithin(seconds: time)
            for event in read {
                guard event.type == nil, let published = Int(event.data) else {
                    throw RawClient.Failure(description: "subscriber \(number): an event \(event)")
                }
                events.append(published)
            }
            if !client.lastEventID.isEmpty { lastEventID = client.lastEventID }
            switch Int.random(in: 0..<3, using: &random) {
            case 0: client.raw.reset()
            case 1: client.raw.shutdownWrite()
            default: break
            }
            client.raw.close()
            // The last events published are one for each topic, in order.
            if let count = published.values.first, let last = topics.max(),
                events.last == count - Self.topics + last
            {
                return (events, visits)
            }
        }
    }

    @Test(
        "Thirty subscribers that leave and resume at random get every event once, in order",
        .timeLimit(.minutes(3)),
        arguments: Held.allCases
    )
    func churn(held: Held) async throws {
        print("churn: seed \(Self.seed), \(Self.duration), \(held)")
        let plenty = HistoryLimits(events: 1_000_000, bytes: 1 << 30)
        try await withHub(held.configuration, history: MemoryHistory(topic: plenty, total: plenty)) { hub in
            let count = Recorder<Int>()
            try await withThrowingTaskGroup(of: (Int, [Int], Int).self) { group in
                for number in 0..<Self.subscribers {
                    group.addTask {
                        let (events, visits) = try await comeAndGo(hub, number, published: count)
                        return (number, events, visits)
                    }
                }
                let published = try await publish(hub)
                count.record(published.count)
                var visits = 0
                for try await (number, events, visited) in group {
                    visits += visited
                    let topics = Self.target(number).topics
                    let expected = published.indices.filter { topics.contains(published[$0]) }
                    #expect(events == expected, "subscriber \(number): \(Self.difference(events, expected))")
                }
                print("churn: \(held): \(published.count) events, \(visits) visits")
                #expect(visits > Self.subscribers)
            }
        }
    }

    /// Publishes numbered events at the given rate, in batches of 1 to 20.
    ///
    /// - Returns: The topic of each event.
    private func publish(_ hub: HubServer) async throws -> [Int] {
        var random = SeededGenerator(seed: Self.seed)
        let topics = try (0..<Self.topics).map { try Topic("churn/\($0)") }
        var published: [Int] = []
        let start = ContinuousClock.now
        while ContinuousClock.now - start < Self.duration {
            var batch: [NewEvent] = []
            for _ in 0..<Int.random(in: 1...20, using: &random) {
                let topic = Int.random(in: 0..<Self.topics, using: &random)
                batch.append(NewEvent(ServerSentEvent(data: "\(published.count)"), topics: [topics[topic]]))
                published.append(topic)
            }
            try await hub.hub.publish(batch)
            // Real time: the test publishes at a fixed rate.
            try await Task.sleep(until: start + .seconds(1) * Double(published.count) / Double(Self.eventsPerSecond))
        }
        for (number, topic) in topics.enumerated() {
            try await hub.hub.publish(ServerSentEvent(data: "\(published.count)"), to: topic)
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
