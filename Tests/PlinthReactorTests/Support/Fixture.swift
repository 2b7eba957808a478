// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import Logging
import PlinthEvents
import PlinthHub
import PlinthReactor
import PlinthTestSupport
import Synchronization
import Testing

/// Records how a stream ended; any number of tasks may await it.
final class Ending: Sendable {
    private struct State {
        var reasons: [StreamEnd] = []
        var waiters: [CheckedContinuation<StreamEnd, Never>] = []
    }

    private let state = Mutex(State())

    func record(_ reason: StreamEnd) {
        let waiters = state.withLock { state in
            state.reasons.append(reason)
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(returning: reason) }
    }

    /// All reasons recorded: exactly one, unless a test fails.
    var reasons: [StreamEnd] { state.withLock { $0.reasons } }

    var value: StreamEnd {
        get async {
            await withCheckedContinuation { continuation in
                let reason = state.withLock { state in
                    if state.reasons.isEmpty { state.waiters.append(continuation) }
                    return state.reasons.first
                }
                if let reason { continuation.resume(returning: reason) }
            }
        }
    }
}

/// A subscriber.
struct Subscriber: Sendable {
    let client: Client
    let ending: Ending
    /// The inode number of the socket that the reactor owns.
    let socket: UInt
}

/// A history, and a reactor that delivers its events to subscribers.
final class Fixture: Sendable {
    let memory: MemoryHistory
    let reactor: Reactor
    private let published: Published
    let topic: Topic

    /// All events that history has delivered.
    private final class Published: Sendable {
        let entries = Mutex<[HistoryEntry]>([])
    }

    init(
        _ options: StreamOptions = StreamOptions(heartbeat: nil),
        limits: HistoryLimits = .defaultOfTopic,
        starts: Bool = true,
        history: (MemoryHistory) -> any History = { $0 },
        currentTurn: @escaping @Sendable () -> Turn? = { nil }
    ) async throws {
        let memory = MemoryHistory(topic: limits)
        var options = options
        options.random = { $0.lowerBound }
        let reactor = try Reactor(
            history: history(memory),
            options: options,
            head: .zero,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            currentTurn: currentTurn
        )
        let published = Published()
        _ = try await memory.open { entries in
            published.entries.withLock { $0 += entries }
            reactor.enqueue(entries)
        }
        if starts { try reactor.start() }
        self.memory = memory
        self.reactor = reactor
        self.published = published
        topic = try Topic("news")
    }

    deinit { reactor.stop() }

    /// Publishes events with about `size` bytes of data each.
    func publish(_ count: Int = 1, size: Int = 20) throws {
        for _ in 0..<count {
            let data = "\(entries.count) " + String(repeating: "x", count: size)
            _ = try memory.appendNow([NewEvent(ServerSentEvent(data: data), topics: [topic])])
        }
    }

    var entries: [HistoryEntry] { published.entries.withLock { $0 } }

    /// The bytes that a subscriber to everything after a position should get.
    func expected(after position: Int = 0) -> [UInt8] {
        entries.dropFirst(position).flatMap { $0.frame.bytes[$0.frame.chunked] }
    }

    /// The end of a body, after the reconnection time that the fixture's streams get.
    static let lastChunk = Array("d\r\nretry: 2000\n\n\r\n0\r\n\r\n".utf8)

    /// Connects a client, and hands off its connection to the reactor.
    ///
    /// `buffer` is the approximate size of each end's kernel buffers, nil for the default; `position` is the last event
    /// that the client has, nil to begin with the oldest event held; `prepare` runs before the hand-off.
    func subscribe(
        _ transport: SocketKind = .tcp,
        buffer: CInt? = nil,
        after position: Int? = 0,
        unknown: EventID? = nil,
        prepare: (Client) async throws -> Void = { _ in }
    ) async throws -> Subscriber {
        let (client, descriptor) = try Client.pair(transport, buffer: buffer)
        let ending = Ending()
        let socket = socketNumber(descriptor)
        try await prepare(client)
        let request = StreamRequest(
            selection: Selection([.exact(topic)]),
            start: LocatedStart(position: position.map { Position(UInt64($0)) }, unknown: unknown),
            form: StreamForm(isChunked: true, namesTopic: false)
        ) { ending.record($0) }
        reactor.handOff(descriptor, request)
        return Subscriber(client: client, ending: ending, socket: socket)
    }

    /// Publishes until `count` subscribers are behind.
    func publishUntilBehind(_ count: Int = 1, size: Int = 10_000) async throws {
        for _ in 0..<20_000 {
            try publish(10, size: size)
            if await reactor.countBehind() >= count { return }
        }
        Issue.record("no subscriber fell behind")
    }

    /// Stops the reactor, and expects every socket closed and each owner notified once.
    func finish(_ subscribers: [Subscriber]) async {
        reactor.stop()
        await reactor.waitUntilEmpty()
        #expect(reactor.count == 0)
        for subscriber in subscribers { #expect(subscriber.ending.reasons.count == 1) }
        let open = openSockets()
        #expect(subscribers.allSatisfy { !open.contains($0.socket) })
    }
}

#endif
