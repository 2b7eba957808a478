// SPDX-License-Identifier: Apache-2.0

#if JWT
import PlinthStreams
import PlinthTestSupport
import Synchronization

@testable import PlinthJWT

/// A key set that tests serve, with the time of its source.
final class KeyServer: Sendable {
    struct Down: Error {}

    private struct State {
        var time = MonotonicTime(nanoseconds: 0)
        var answer: [UInt8]?
        var isHeld = false
        var held: [CheckedContinuation<Void, Never>] = []
        var wake: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())
    /// An element for each fetch that has begun.
    let fetches = Recorder<Void>()

    init(_ answer: [UInt8]?) {
        state.withLock { $0.answer = answer }
    }

    func source(_ record: LogRecord = LogRecord()) throws -> JWTKeySource {
        try JWTKeySource(
            algorithm: .rs256,
            logger: record.logger,
            now: { self.state.withLock { $0.time } },
            fetch: fetch
        )
    }

    private func fetch() async throws -> [UInt8] {
        fetches.record()
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                if state.isHeld { state.held.append(continuation) }
                return !state.isHeld
            }
            if isFree { continuation.resume() }
        }
        guard let answer = state.withLock({ $0.answer }) else { throw Down() }
        return answer
    }

    /// What the next fetches get; nil makes them fail.
    func serve(_ answer: [UInt8]?) { state.withLock { $0.answer = answer } }

    /// Makes fetches wait for ``release()``.
    func hold() { state.withLock { $0.isHeld = true } }

    func release() {
        let held = state.withLock { state in
            defer { state.held = [] }
            state.isHeld = false
            return state.held
        }
        for continuation in held { continuation.resume() }
    }

    /// Advances the time, and wakes the source.
    func advance(_ seconds: Int) {
        state.withLock { state in
            state.time = state.time + .seconds(seconds)
            return state.wake
        }?()
    }

    /// Runs a source while a body runs, which begins once tokens can wait for a fetch.
    func run(_ source: JWTKeySource, _ body: () async throws -> Void) async throws {
        let isRunning = Recorder<Void>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                await source.run { wake in
                    self.state.withLock { $0.wake = wake }
                    isRunning.record()
                    try? await untilCancelled()
                }
            }
            defer { group.cancelAll() }
            try await isRunning.first()
            try await body()
        }
    }
}
#endif
