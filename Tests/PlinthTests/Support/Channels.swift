// SPDX-License-Identifier: Apache-2.0

import Plinth
import Synchronization
import Testing

/// A transport that counts wakes, for tests of a single channel.
final class Wakes: EventStreamTransport {
    private let state = Mutex(0)

    /// The number of wakes since the last read.
    var taken: Int {
        state.withLock { count in
            defer { count = 0 }
            return count
        }
    }

    func wake(_ channel: EventChannel) { state.withLock { $0 += 1 } }

    var now: MonotonicTime { .seconds(0) }
}

extension MonotonicTime {
    static func seconds(_ seconds: Double) -> MonotonicTime {
        MonotonicTime(nanoseconds: Int64((seconds * 1_000_000_000).rounded()))
    }
}

extension EventChannel {
    /// Pulls everything due, and returns it as text with the result of the last pull.
    func pullAll(limit: Int = 16 * 1024, now: MonotonicTime = .seconds(0)) -> (text: String, last: EventStreamPull) {
        var bytes: [UInt8] = []
        while true {
            let result = pull(into: &bytes, limit: limit, now: now)
            if case .bytes = result { continue }
            return (String(decoding: bytes, as: UTF8.self), result)
        }
    }
}

/// Waits until at least `count` senders wait for room; gives up if the channel closes or after 1,000,000 yields.
func parked(_ channel: EventChannel, _ count: Int, _ location: SourceLocation = #_sourceLocation) async {
    for _ in 0..<1_000_000 {
        if channel.waitingSenders >= count { return }
        guard !channel.isClosed else { break }
        await Task.yield()
    }
    Issue.record("expected \(count) waiting senders; there are \(channel.waitingSenders)", sourceLocation: location)
}
