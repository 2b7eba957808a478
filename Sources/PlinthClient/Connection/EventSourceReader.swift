// SPDX-License-Identifier: Apache-2.0

import HTTPTypes

/// The reader's side of an iteration; releasing it ends the iteration.
final class EventSourceReader {
    private let source: EventSource
    private let reading: Reading
    private var run: EventSourceRun?
    private var hasEnded = false

    init(_ source: EventSource, _ reading: Reading) {
        self.source = source
        self.reading = reading
    }

    deinit {
        if let run { source.end(run) }
    }

    /// Records `count` events of the batch as delivered; false if nothing more may be delivered.
    @inline(__always)
    func mayHandOut(_ count: Int) -> Bool {
        guard let run, !run.isClosed else { return false }
        run.didHandOut(count)
        return true
    }

    /// Waits for the next batch; nil at the end.
    func next() async throws(EventSourceError) -> EventBatch? {
        if hasEnded { return nil }
        do throws(EventSourceError) {
            if Task.isCancelled {
                end()
                return nil
            }
            if run == nil { run = try source.begin(reading) }
            if let batch = try await run?.take() { return batch }
            end()
            return nil
        } catch {
            end()
            throw error
        }
    }

    /// Calls the closure that reads the application's state, and lets the run continue after the mark.
    ///
    /// - Returns: The state; nil if the iteration has ended.
    /// - Throws: The closure's error; ``EventSourceError`` if the mark is invalid.
    func readState<State: Sendable>(
        _ read: @escaping @Sendable () async throws -> (state: State, mark: String)
    ) async throws -> State? {
        guard let run else { return nil }
        if run.isClosed || Task.isCancelled {
            end()
            return nil
        }
        do {
            let (state, mark) = try await run.call(read)
            if !run.isClosed {
                try source.configuration.check(mark: mark)
                run.resume(after: mark)
                return state
            }
            end()
            return nil
        } catch {
            let isClosed = run.isClosed
            end()
            // The closure was cancelled because the iteration has ended.
            if isClosed { return nil }
            throw error
        }
    }

    private func end() {
        hasEnded = true
        if let run { source.end(run) }
        run = nil
    }
}

extension EventSourceConfiguration {
    /// Checks that a mark can be sent as a last event ID.
    ///
    /// Without it the stream would begin live, and events between the mark and the beginning would be lost silently.
    fileprivate func check(mark: String) throws(EventSourceError) {
        let count = mark.utf8.count
        if count > 0, count <= maximumLastEventIDSize, HTTPField.isValidValue(mark) { return }
        throw EventSourceError(
            .invalidMark,
            "The closure of following returned a mark that cannot be sent as a last event ID: "
                + "\(String(mark.prefix(80)).debugDescription), \(count) bytes. Return the Last-Event-ID of the hub's "
                + "response, at most maximumLastEventIDSize bytes (\(maximumLastEventIDSize))."
        )
    }
}
