// SPDX-License-Identifier: Apache-2.0

#if Command && SQLite
import ArgumentParser
import Dispatch
import Foundation
import PlinthSQLite
import Synchronization

/// The work of a `plinth history` command, with its progress, until it is done or a signal ends it.
struct HistoryRun {
    /// The command's name, for messages.
    let command: String
    /// What the progress says, such as "checking".
    let activity: String

    /// Runs the work.
    ///
    /// - Parameter work: Receives what shows the progress.
    /// - Returns: Its result.
    /// - Throws: `ExitCode` after a message: 1 for a failure, 128 and the signal's number for an interruption.
    func run<Result: Sendable>(
        _ work: @escaping @Sendable (_ progress: @escaping SQLiteHistoryFile.Progress) async throws -> Result
    ) async throws -> Result {
        let line = ProgressLine(activity)
        // Before the work: from now on a signal does not end the process.
        let interruption = Interruption()
        let task = Task { try await work { line.show($0) } }
        interruption.onSignal { task.cancel() }
        defer { withExtendedLifetime(interruption) {} }
        do {
            let result = try await task.value
            line.clear()
            return result
        } catch {
            line.clear()
            if error is CancellationError, let signal = interruption.signal {
                complain("interrupted; nothing is half-done")
                throw ExitCode(128 + signal)
            }
            complain("\(error)")
            throw ExitCode(1)
        }
    }

    func complain(_ text: String) { StandardStreams.complain("plinth history \(command): \(text)") }
}

/// SIGINT and SIGTERM, which call a closure instead of ending the process.
private final class Interruption {
    private let state = SignalState()
    private let sources: [any DispatchSourceSignal]

    init() {
        sources = [SIGINT, SIGTERM].map { [state] number in
            // The source sees signals only if they do not end the process.
            Foundation.signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { state.receive(number) }
            source.resume()
            return source
        }
    }

    deinit {
        for source in sources { source.cancel() }
    }

    /// The first signal; nil if there was none.
    var signal: CInt? { state.first }

    /// Calls a closure at the first signal; at once if there was one.
    func onSignal(_ action: @escaping @Sendable () -> Void) { state.set(action) }
}

private final class SignalState: Sendable {
    private let state = Mutex<(first: CInt?, action: (@Sendable () -> Void)?)>((nil, nil))

    var first: CInt? { state.withLock { $0.first } }

    func receive(_ number: CInt) {
        let action = state.withLock { state in
            state.first = state.first ?? number
            return state.action
        }
        action?()
    }

    func set(_ action: @escaping @Sendable () -> Void) {
        let isDue = state.withLock { state in
            state.action = action
            return state.first != nil
        }
        if isDue { action() }
    }
}

/// A percentage on standard error, if that is a terminal.
private final class ProgressLine: Sendable {
    private let activity: String
    private let lastShown = Mutex(ContinuousClock.now - .seconds(1))

    init(_ activity: String) { self.activity = activity }

    /// Shows a part, at most 10 times a second.
    func show(_ part: Double) {
        guard StandardStreams.isErrorTerminal else { return }
        let now = ContinuousClock.now
        let isDue = lastShown.withLock { last in
            guard now - last >= .milliseconds(100) else { return false }
            last = now
            return true
        }
        if isDue { StandardStreams.overwrite("\(activity) \(Int(part * 100)) %") }
    }

    func clear() { StandardStreams.overwrite("") }
}
#endif
