// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import Glibc
import Logging
import PlinthEvents
import PlinthHub
import PlinthReactor

extension Bounds {
    /// Measures the cost of streams with many patterns to publishers, and the cost of the status.
    static func patterns(_ numbers: [Int]) async throws {
        let (streams, patterns, topics) = (numbers[0], numbers[1], numbers[2])
        raiseDescriptorLimit()
        let hub = try await Hub()
        let reactor = try hub.add { head in
            try Reactor(history: hub.history, options: hub.options, head: head, logger: Logger(label: "bounds"))
        }
        try reactor.start()
        let (own, other) = socketPair()
        drain(own)
        try await hub.begin(Selection([.exact(try Topic("shop/0/orders/0"))]), .live, on: reactor, other)
        let names = try (0..<topics).map { try Topic("shop/\($0 % 1000)/orders/\($0)") }
        for name in names { try await hub.publish(ServerSentEvent(data: "x"), to: name) }

        let without = try await publishTimes(hub, names)
        report("without", without)
        let statusWithout = try await statusTimes(hub)

        let clock = ContinuousClock()
        for stream in 0..<streams {
            // One pattern matches one event in a thousand, the others none.
            var wanted: [TopicSelector] = []
            for number in 0..<(patterns - 1) {
                wanted.append(.pattern(try TopicPattern("shop/\(stream)/*/\(number)/lines")))
            }
            wanted.append(.pattern(try TopicPattern("shop/\(stream)/**")))
            let (own, other) = socketPair()
            drain(own)
            try await hub.begin(Selection(wanted), .earliest, on: reactor, other)
        }
        let began = clock.now
        report("while they read history", try await publishTimes(hub, names))
        while await reactor.countBehind() > 0, clock.now - began < .seconds(120) { usleep(10_000) }
        print("all live after \(shown(milliseconds(clock.now - began) / 1000)) s")
        let with = try await publishTimes(hub, names)
        report("with \(streams) streams of \(patterns) patterns", with)
        print("ratio of p99: \(shown(with.percentile(0.99) / without.percentile(0.99)))")
        let statusWith = try await statusTimes(hub)
        print(
            "status of 1000 topics, ms, longest of 20: without \(shown(statusWithout.max() ?? 0)), with "
                + "\(shown(statusWith.max() ?? 0))"
        )
        reactor.stop()
    }

    /// The duration of each publish in milliseconds, at most 1000 per second, while polling the status like the page.
    private static func publishTimes(_ hub: Hub, _ names: [Topic]) async throws -> [Double] {
        let clock = ContinuousClock()
        var times: [Double] = []
        var generator = SystemRandomNumberGenerator()
        async let status: Void = {
            for _ in 0..<5 {
                _ = try await hub.status(top: 1000)
                // The page's interval.
                try await Task.sleep(for: .seconds(1))
            }
        }()
        for _ in 0..<5000 {
            guard let name = names.randomElement(using: &generator) else { continue }
            let begin = clock.now
            try await hub.publish(ServerSentEvent(data: "x"), to: name)
            times.append(milliseconds(clock.now - begin))
            usleep(1000)
        }
        try await status
        return times
    }

    private static func statusTimes(_ hub: Hub) async throws -> [Double] {
        let clock = ContinuousClock()
        var times: [Double] = []
        for _ in 0..<20 {
            let begin = clock.now
            _ = try await hub.status(top: 1000)
            times.append(milliseconds(clock.now - begin))
        }
        return times
    }

    private static func report(_ what: String, _ times: [Double]) {
        print(
            "publishing \(what): p50 \(shown(times.percentile(0.5) * 1000)) µs, p99 "
                + "\(shown(times.percentile(0.99) * 1000)) µs, longest \(shown((times.max() ?? 0) * 1000)) µs"
        )
    }
}

#endif
