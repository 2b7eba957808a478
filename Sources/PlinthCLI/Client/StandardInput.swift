// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import Foundation
import Synchronization

/// Reads standard input on its own thread while earlier events are being published.
///
/// Buffers events until ``next()`` takes them. Reading pauses above 1 MiB or 10,000 events, so a slow server applies
/// back-pressure to the process that writes into the pipe.
final class StandardInput: Sendable {
    /// The buffered events, and whether the input ended.
    struct Lines: Sendable {
        var batch = EventLines.Batch()
        /// Why reading stopped early; nil if it did not.
        var failure: String?
        var isEnd = false
    }

    private struct State {
        var lines = Lines()
        var waiting: CheckedContinuation<Lines, Never>?
    }

    /// In bytes of the encoded event stream.
    private static let maximumSize = 1 << 20
    private static let maximumCount = 10_000

    private let state = Mutex(State())
    /// Signalled when the buffer has been taken.
    private let taken = NSCondition()

    /// Starts the reading thread.
    init(_ lines: EventLines) {
        let thread = Thread { [self] in
            var lines = lines
            read(&lines)
        }
        thread.name = "plinth-input"
        thread.start()
    }

    /// Takes the buffered events, suspending until there are any or the input ends.
    func next() async -> Lines {
        await withCheckedContinuation { continuation in
            let lines = state.withLock { state -> Lines? in
                if state.lines.batch.count == 0, !state.lines.isEnd, state.lines.batch.lastID == nil {
                    state.waiting = continuation
                    return nil
                }
                return Self.take(&state)
            }
            if let lines { give(lines, to: continuation) }
        }
    }

    private static func take(_ state: inout State) -> Lines {
        defer { state.lines = Lines(isEnd: state.lines.isEnd) }
        return state.lines
    }

    private func give(_ lines: Lines, to continuation: CheckedContinuation<Lines, Never>) {
        continuation.resume(returning: lines)
        taken.lock()
        taken.signal()
        taken.unlock()
    }

    // MARK: - The thread

    private func read(_ lines: inout EventLines) {
        while true {
            var batch = EventLines.Batch()
            var isEnd = false
            var failure: String?
            do {
                let bytes = try StandardStreams.read(64 * 1024)
                isEnd = bytes.isEmpty
                if isEnd { try lines.finish(&batch) } else { try lines.append(bytes, to: &batch) }
            } catch {
                isEnd = true
                failure =
                    error is StandardStreams.ReadFailure
                    ? "\(error); the rest is not published" : "\(error); this line and the rest are not published"
            }
            // Printed here, so that they do not accumulate: their number is unbounded.
            for note in batch.takeNotes() { StandardStreams.complain("plinth publish: \(note)") }
            add(batch, failure, isEnd)
            if isEnd { return }
            waitForRoom()
        }
    }

    private func add(_ batch: EventLines.Batch, _ failure: String?, _ isEnd: Bool) {
        let given = state.withLock { state -> (CheckedContinuation<Lines, Never>, Lines)? in
            state.lines.batch.append(batch)
            state.lines.failure = failure
            state.lines.isEnd = isEnd
            guard batch.count > 0 || batch.lastID != nil || isEnd, let waiting = state.waiting.take() else {
                return nil
            }
            return (waiting, Self.take(&state))
        }
        if let (waiting, lines) = given { waiting.resume(returning: lines) }
    }

    private func waitForRoom() {
        taken.lock()
        defer { taken.unlock() }
        // No wakeup is lost: `give` signals after taking the buffer, under the lock held here from check to wait.
        while state.withLock({ state in
            state.lines.batch.bytes.count > Self.maximumSize || state.lines.batch.count > Self.maximumCount
        }) {
            taken.wait()
        }
    }
}
#endif
