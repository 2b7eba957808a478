// SPDX-License-Identifier: Apache-2.0

import Logging
import Plinth
import PlinthTesting
import Synchronization
import Testing

/// Things that happened, in order, for tests that wait for them.
final class Journal<Entry: Sendable & Equatable>: Sendable {
    private struct State {
        var entries: [Entry] = []
        var waiters: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    var entries: [Entry] { state.withLock { $0.entries } }

    func note(_ entry: Entry) {
        let due = state.withLock { state in
            state.entries.append(entry)
            let due = state.waiters.filter { $0.count <= state.entries.count }
            state.waiters.removeAll { $0.count <= state.entries.count }
            return due
        }
        for waiter in due { waiter.continuation.resume() }
    }

    /// Waits until so many entries are there.
    func wait(for count: Int) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                guard state.entries.count < count else { return true }
                state.waiters.append((count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }
}

/// A door that stays open once it is opened.
///
/// Whoever waits does not notice cancellation.
final class Gate: Sendable {
    private let journal = Journal<Bool>()

    func open() { journal.note(true) }
    func wait() async { await journal.wait(for: 1) }
}

/// A log that a test looks at.
final class RecordedLog: Sendable {
    private let lines = Mutex<[(level: Logger.Level, text: String)]>([])

    var errors: [String] { lines.withLock { $0.filter { $0.level >= .error }.map(\.text) } }
    var all: [String] { lines.withLock { $0.map(\.text) } }

    var logger: Logger {
        Logger(label: "test") { _ in Handler(log: self) }
    }

    private struct Handler: LogHandler {
        let log: RecordedLog
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            log.lines.withLock { $0.append((event.level, "\(event.message) \(event.metadata ?? [:])")) }
        }
    }
}

/// What tests throw.
struct Mishap: Error, Equatable, CustomStringConvertible {
    var description = "mishap"
}

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

/// Where an application keeps its open channels.
final class Registry: Sendable {
    private let storage = Mutex<[EventChannel]>([])

    var channels: [EventChannel] { storage.withLock { $0 } }

    func add(_ channel: EventChannel) {
        storage.withLock { $0.append(channel) }
    }

    func remove(_ channel: EventChannel) {
        storage.withLock { $0.removeAll { $0 === channel } }
    }
}

extension Chain {
    /// One interceptor, which starts an event stream.
    static func stream(
        options: EventStreamOptions = .init(),
        lifetime: EventStream.Lifetime = .scoped,
        onDisconnect: EventStream.OnDisconnect? = nil,
        _ ready: @escaping EventStream.Ready
    ) -> Chain {
        Chain([
            Interceptor(
                "stream",
                enter: { context in
                    try await context.startEventStream(
                        options: options,
                        lifetime: lifetime,
                        onDisconnect: onDisconnect,
                        ready
                    )
                }
            )
        ])
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
