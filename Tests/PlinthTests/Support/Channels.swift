// SPDX-License-Identifier: Apache-2.0

import Plinth
import Synchronization
import Testing

/// A transport without a stream around it, for tests of a channel alone.
final class Wakes: EventStreamTransport {
    private let state = Mutex(0)

    /// How often it was woken since it was asked last.
    var taken: Int {
        state.withLock { count in
            defer { count = 0 }
            return count
        }
    }

    func wake(_ channel: EventChannel) { state.withLock { $0 += 1 } }
}

extension MonotonicTime {
    static func seconds(_ seconds: Double) -> MonotonicTime {
        MonotonicTime(nanoseconds: Int64((seconds * 1_000_000_000).rounded()))
    }
}

extension EventChannel {
    /// All that is due now, as text, and how the last pull came back.
    func pullAll(limit: Int = 16 * 1024, now: MonotonicTime = .seconds(0)) -> (text: String, last: EventStreamPull) {
        var bytes: [UInt8] = []
        while true {
            let result = pull(into: &bytes, limit: limit, now: now)
            if case .bytes = result { continue }
            return (String(decoding: bytes, as: UTF8.self), result)
        }
    }
}

/// Waits until so many senders wait for room, or until that is not to be expected any more.
func parked(_ channel: EventChannel, _ count: Int, _ location: SourceLocation = #_sourceLocation) async {
    for _ in 0..<1_000_000 {
        if channel.waitingSenders >= count { return }
        guard !channel.isClosed else { break }
        await Task.yield()
    }
    Issue.record("\(count) senders were to wait; \(channel.waitingSenders) do", sourceLocation: location)
}
