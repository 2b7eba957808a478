// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// How far a stream's ready function has come.
///
/// It runs once, or never.
final class ReadyState: Sendable {
    private enum Phase {
        case idle(EventStream.Ready)
        /// Under way, and who waits for its end.
        case running([CheckedContinuation<Void, Never>])
        /// It has returned or thrown, or will never be called. The function itself, and all that it captured, is let go:
        /// a stream may stay open long after it.
        case done
    }

    private let phase: Mutex<Phase>

    init(_ ready: @escaping EventStream.Ready) {
        phase = Mutex(.idle(ready))
    }

    /// Hands out the ready function, to the first who asks.
    func begin() -> EventStream.Ready? {
        phase.withLock { phase in
            guard case .idle(let ready) = phase else { return nil }
            phase = .running([])
            return ready
        }
    }

    /// The ready function has returned or thrown.
    func end() {
        let waiting = phase.withLock { phase -> [CheckedContinuation<Void, Never>] in
            guard case .running(let waiting) = phase else { return [] }
            phase = .done
            return waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Sees to it that the ready function is not called any more, unless it has been.
    func cancel() {
        phase.withLock { phase in
            if case .idle = phase { phase = .done }
        }
    }

    /// Waits while the ready function runs.
    func wait() async {
        await withCheckedContinuation { continuation in
            let isRunning = phase.withLock { phase in
                guard case .running(let waiting) = phase else { return false }
                phase = .running(waiting + [continuation])
                return true
            }
            if !isRunning { continuation.resume() }
        }
    }
}
