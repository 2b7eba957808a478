// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import Synchronization

/// How a request's handler waits for bytes of its body.
struct BodyWait {
    /// Since when; nil if it does not wait.
    var since: MonotonicTime?
    /// How long it lets the client be silent; nil for the connector's limit.
    var limit: Duration?
}

/// The body of a request between its connection and its handler.
///
/// The connection appends on its event loop, and stops reading at ``highWatermark``; the handler reads in its task.
final class RequestBodyStream: RequestBodyConnection {
    /// The number of unread bytes at which the connection stops reading.
    static let highWatermark = 64 * 1024

    private struct State {
        var pieces: [[UInt8]] = []
        var size = 0
        var isPaused = false
        var isEnded = false
        var failure: (any Error)?
        var waiter: CheckedContinuation<[UInt8]?, any Error>?
        var waitingSince: MonotonicTime?
        var hasAsked = false
        var isUnwanted = false
        /// Whether a part of the body was or will be discarded.
        var isLost = false
        /// How long the client may be silent; nil for the connector's limit.
        var pauseLimit: Duration?
        var isDraining = false

        /// Whether a shutdown ends the body here: the client is between two parts of what it sends.
        var endsHere: Bool { isDraining && pauseLimit != nil }
    }

    private let state = Mutex(State())
    /// Called from any thread when there is room again, and at the first read if the client expects `100 Continue`.
    private let onDemand: @Sendable () -> Void
    /// The connection's time, from any thread.
    private let now: @Sendable () -> MonotonicTime
    /// Called from any thread when the time for which the client may be silent changes.
    private let onPauseLimit: @Sendable (Duration?) -> Void
    /// Whether the client waits for `100 Continue` before it sends the body.
    private let isAwaited: Bool

    init(
        isAwaited: Bool,
        now: @escaping @Sendable () -> MonotonicTime,
        onDemand: @escaping @Sendable () -> Void,
        onPauseLimit: @escaping @Sendable (Duration?) -> Void
    ) {
        self.isAwaited = isAwaited
        self.now = now
        self.onDemand = onDemand
        self.onPauseLimit = onPauseLimit
    }

    /// How a handler waits for bytes.
    var wait: BodyWait {
        state.withLock { BodyWait(since: $0.waiter == nil ? nil : $0.waitingSince, limit: $0.pauseLimit) }
    }

    // MARK: - The connection's side

    /// - Returns: Whether to continue reading.
    func append(_ piece: [UInt8]) -> Bool {
        let (waiter, goesOn) = state.withLock { state -> (CheckedContinuation<[UInt8]?, any Error>?, Bool) in
            guard !piece.isEmpty, !state.isUnwanted else { return (nil, true) }
            if let waiter = state.waiter {
                state.waiter = nil
                return (waiter, true)
            }
            state.pieces.append(piece)
            state.size += piece.count
            state.isPaused = state.size >= Self.highWatermark
            return (nil, !state.isPaused)
        }
        waiter?.resume(returning: piece)
        return goesOn
    }

    func end() {
        let waiter = state.withLock { state in
            state.isEnded = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(returning: nil)
    }

    func fail(_ error: any Error) {
        let waiter = state.withLock { state in
            if !state.isEnded, state.failure == nil { state.failure = error }
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(throwing: error)
    }

    /// Called when a shutdown begins.
    func drain() {
        let waiter = state.withLock { state in
            state.isDraining = true
            guard state.endsHere else { return CheckedContinuation<[UInt8]?, any Error>?.none }
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(throwing: Self.drained)
    }

    private static let drained = HTTPError(
        .serviceUnavailable,
        .notTaken,
        "the server is shutting down; send the rest again",
        headers: [.retryAfter: "1"]
    )

    /// Called when the handler is done: discards the rest of the body, received or not.
    func discard() {
        let waiter = state.withLock { state in
            state.isUnwanted = true
            state.isLost = !state.isEnded || !state.pieces.isEmpty
            state.pieces = []
            state.size = 0
            state.isPaused = false
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(throwing: CancellationError())
    }

    // MARK: - The handler's side

    var body: RequestBody { RequestBody(self) }

    func mayPause(for limit: Duration?) {
        let isOther = state.withLock { state in
            defer { state.pauseLimit = limit }
            return state.pauseLimit != limit
        }
        if isOther { onPauseLimit(limit) }
    }

    private enum Taken {
        case piece([UInt8]?)
        case failure(any Error)
        case wait
    }

    func restNow() throws -> [UInt8]? {
        try state.withLock { state in
            if let failure = state.failure { throw failure }
            if state.isLost { throw CancellationError() }
            guard state.isEnded else { return nil }
            // Nothing is left to ask for.
            state.hasAsked = true
            state.isPaused = false
            return Self.take(&state) ?? []
        }
    }

    func next() async throws -> [UInt8]? {
        // Most bodies have arrived completely by the first read.
        switch take(nil) {
        case .piece(let piece): return piece
        case .failure(let error): throw error
        case .wait: break
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                switch take(continuation) {
                case .piece(let piece): continuation.resume(returning: piece)
                case .failure(let error): continuation.resume(throwing: error)
                case .wait: break
                }
            }
        } onCancel: {
            fail(CancellationError())
        }
    }

    /// Takes the received bytes; if there are none, stores the continuation.
    private func take(_ continuation: CheckedContinuation<[UInt8]?, any Error>?) -> Taken {
        let (taken, demands) = state.withLock { state -> (Taken, Bool) in
            var demands = isAwaited && !state.hasAsked
            state.hasAsked = true
            if state.endsHere { return (.failure(Self.drained), false) }
            if let whole = Self.take(&state) {
                if state.isPaused {
                    state.isPaused = false
                    demands = true
                }
                return (.piece(whole), demands)
            }
            if let failure = state.failure { return (.failure(failure), false) }
            // What was discarded must not look like a body that has ended.
            if state.isLost { return (.failure(CancellationError()), false) }
            if state.isEnded { return (.piece(nil), false) }
            if state.waiter != nil { return (.failure(ConcurrentBodyRead()), false) }
            if let continuation {
                state.waiter = continuation
                state.waitingSince = now()
            }
            return (.wait, demands)
        }
        if demands { onDemand() }
        return taken
    }

    private static func take(_ state: inout State) -> [UInt8]? {
        guard let first = state.pieces.first else { return nil }
        var whole = first
        for piece in state.pieces.dropFirst() { whole.append(contentsOf: piece) }
        state.pieces = []
        state.size = 0
        return whole
    }
}

/// A body that was not read before its response became an event stream.
struct RequestBodyLost: Error, CustomStringConvertible {
    var description: String { "the rest of the request's body is lost: read it before the event stream opens" }
}

/// Two tasks read one request's body at the same time.
struct ConcurrentBodyRead: Error, CustomStringConvertible {
    var description: String { "a request's body is read by one task at a time" }
}

#endif
