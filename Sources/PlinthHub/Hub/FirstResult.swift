// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The first of several results, for one task that waits for it.
final class FirstResult<Value: Sendable>: Sendable {
    private enum State {
        case empty
        case waiting(CheckedContinuation<Value, Never>)
        case set(Value)
    }

    private let state = Mutex(State.empty)

    /// Sets the result, unless there is one.
    func set(_ value: Value) {
        let waiting = state.withLock { state -> CheckedContinuation<Value, Never>? in
            switch state {
            case .empty, .waiting:
                defer { state = .set(value) }
                if case .waiting(let continuation) = state { return continuation }
                return nil
            case .set: return nil
            }
        }
        waiting?.resume(returning: value)
    }

    /// Waits for the result; called once.
    func value() async -> Value {
        await withCheckedContinuation { continuation in
            let known = state.withLock { state -> Value? in
                if case .set(let value) = state { return value }
                state = .waiting(continuation)
                return nil
            }
            if let known { continuation.resume(returning: known) }
        }
    }
}
