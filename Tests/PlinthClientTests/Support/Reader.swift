// SPDX-License-Identifier: Apache-2.0

import PlinthClient
import PlinthTestSupport
import Synchronization

/// Reads a source's messages in a task and records them in abbreviated form.
final class Reader: Sendable {
    /// `open`, `message: data`, `: comment`, `retry code 3.0 seconds`, `end`, `failed code`.
    let lines = Recorder<String>()
    private let task: Mutex<Task<Void, Never>?> = Mutex(nil)

    init(_ source: EventSource) {
        let lines = lines
        let task = Task {
            do {
                for try await message in source.messages {
                    switch message {
                    case .opened: lines.record("open")
                    case .event(let event): lines.record("\(event.type): \(event.data)")
                    case .comment(let text): lines.record(":\(text)")
                    case .disconnected(let error, let delay): lines.record("retry \(error.code) \(delay)")
                    }
                }
                lines.record("end")
            } catch let error as EventSourceError {
                lines.record("failed \(error.code)")
            } catch {
                lines.record("\(error)")
            }
        }
        self.task.withLock { $0 = task }
    }

    deinit {
        cancel()
    }

    func cancel() {
        task.withLock { $0 }?.cancel()
    }

    /// Waits for the first `count` lines.
    func first(_ count: Int) async throws -> [String] {
        try await lines.first(count, "\(count) messages, after \(lines.values)")
    }
}
