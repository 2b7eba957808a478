// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import Foundation
import Synchronization

/// Standard input, read by a thread of its own while what came before is on its way.
///
/// What is read while nobody asks is put together, up to a bound, at which reading waits: so a slow server slows whoever
/// writes into the pipe.
final class StandardInput: Sendable {
    /// What has gathered, and what ends it.
    struct Lines: Sendable {
        var batch = EventLines.Batch()
        /// What ended it too early, in words.
        var failure: String?
        var isEnd = false
    }

    private struct State {
        var lines = Lines()
        var waiting: CheckedContinuation<Lines, Never>?
    }

    /// In bytes of the event stream, and events.
    private static let maximumSize = 1 << 20
    private static let maximumCount = 10_000

    private let state = Mutex(State())
    /// Signalled when what has gathered was taken.
    private let taken = NSCondition()

    /// Begins to read.
    init(_ lines: EventLines) {
        let thread = Thread { [self] in
            var lines = lines
            read(&lines)
        }
        thread.name = "plinth-input"
        thread.start()
    }

    /// What has gathered, after waiting for something.
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
                    ? "\(error); what follows is not published" : "\(error); it and what follows are not published"
            }
            // Here, before others gather: there is one for each line that is wrong, and no bound for those.
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
        // The one who takes signals under the same lock, after it has taken: a signal between the look and the wait would
        // have to come from somebody who holds it.
        while state.withLock({ state in
            state.lines.batch.bytes.count > Self.maximumSize || state.lines.batch.count > Self.maximumCount
        }) {
            taken.wait()
        }
    }
}
#endif
