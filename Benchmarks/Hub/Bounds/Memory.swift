// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import Glibc
import Logging
import PlinthEvents
import PlinthHub
import PlinthReactor

extension Bounds {
    /// Compares the bytes that history counts with the growth of the process.
    static func memory(_ numbers: [Int]) async throws {
        let (events, perTopic, topicBytes, dataBytes) = (numbers[0], max(1, numbers[1]), numbers[2], numbers[3])
        let limit = numbers[5] > 0 ? HistoryLimits(bytes: numbers[5] << 20) : HistoryLimits()
        let hub = try await Hub(history: MemoryHistory(topic: HistoryLimits(), total: limit))
        let data = String(repeating: "x", count: dataBytes)
        func name(_ number: Int) -> String {
            let name = "t\(number)-"
            return name + String(repeating: "y", count: max(0, topicBytes - name.utf8.count))
        }
        var reactor: Reactor?
        if numbers[4] > 0 {
            let made = try hub.add { head in
                try Reactor(history: hub.history, options: hub.options, head: head, logger: Logger(label: "bounds"))
            }
            try made.start()
            reactor = made
            let (own, other) = socketPair()
            drain(own)
            try await hub.begin(Selection([.pattern(try TopicPattern("**"))]), .live, on: made, other)
        }
        // Warm-up: one-time allocations.
        for _ in 0..<1000 { try await hub.publish(ServerSentEvent(data: data), to: try Topic(name(0))) }
        try await hub.purge(try Topic(name(0)))
        let counted = try await hub.status().bytes
        let before = residentBytes()
        for number in 0..<events {
            try await hub.publish(ServerSentEvent(data: data), to: try Topic(name(number / perTopic)))
        }
        // The reactor drains its queue before it answers.
        _ = await reactor?.countBehind()
        let growth = residentBytes() - before
        let status = try await hub.status()
        let bytes = status.bytes - counted
        print(
            "| \(topicBytes) | \(dataBytes) | \(perTopic) | \(numbers[4] > 0 ? "yes" : "no") | \(numbers[5]) | \(status.events) "
                + "| \(bytes / 1024) | \(growth / 1024) | \(shown(Double(growth) / Double(bytes))) |"
        )
        reactor?.stop()
    }
}

#endif
