// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import PlinthClient

/// The events of standard input on their way to a hub, batch by batch, in their order.
struct PublishRun {
    let publisher: HubPublisher
    let file: ResumeFile?
    /// How long what was not answered is sent again.
    let retryTime: Duration
    private var acknowledged = 0
    private var lastID = ""
    private var lastShown = ContinuousClock.now

    init(publisher: HubPublisher, file: ResumeFile?, retryTime: Duration) {
        self.publisher = publisher
        self.file = file
        self.retryTime = retryTime
    }

    /// Publishes until standard input ends, or something fails.
    ///
    /// - Returns: The exit status.
    mutating func run(_ lines: EventLines) async -> Int32 {
        let input = StandardInput(lines)
        while true {
            let next = await input.next()
            if next.batch.count > 0 || next.batch.lastID != nil {
                let status = await publish(next.batch)
                if status != 0 { return status }
            }
            if let failure = next.failure {
                say("\(failure); it and what follows are not published")
                return report(1)
            }
            if next.isEnd { return report(0) }
        }
    }

    private mutating func publish(_ batch: EventLines.Batch) async -> Int32 {
        do {
            if batch.count > 0 {
                lastID = try await send(batch)
                acknowledged += batch.count
            }
            if let id = batch.lastID { try file?.write(id) }
            showProgress()
            return 0
        } catch let failure as HubPublisher.Failure {
            let accepted = min(failure.accepted, batch.count)
            acknowledged += accepted
            say(failure.reason)
            let first = accepted < batch.lines.count ? batch.lines[accepted] : batch.lines.last ?? 0
            let last = batch.lines.last ?? first
            let which = first == last ? "line \(first)" : "lines \(first) to \(last)"
            say(
                failure.kind == .unanswered
                    ? "the events of \(which) may or may not have been published; what follows was not"
                    : "the events from line \(first) on were not published"
            )
            return report(1)
        } catch let failure as ResumeFile.Failure {
            say("\(failure)")
            return report(74)
        } catch {
            say("\(error)")
            return report(1)
        }
    }

    private func send(_ batch: EventLines.Batch) async throws -> String {
        let deadline = ContinuousClock.now + retryTime
        var wait = Duration.milliseconds(100)
        while true {
            do {
                return try await publisher.publish(batch)
            } catch let failure as HubPublisher.Failure {
                guard failure.kind != .refused, ContinuousClock.now + wait < deadline else { throw failure }
                say("\(failure.reason); sending again in \(wait.wholeMilliseconds) ms")
                // A server that is being restarted is not asked without a pause.
                try await Task.sleep(for: wait)
                wait = min(wait * 2, .seconds(5))
            }
        }
    }

    /// On a terminal, a line that is written over.
    private mutating func showProgress() {
        let now = ContinuousClock.now
        guard StandardStreams.isErrorTerminal, now - lastShown > .milliseconds(100) else { return }
        lastShown = now
        StandardStreams.show("\r\(acknowledged) events acknowledged\u{1B}[K")
    }

    private func report(_ status: Int32) -> Int32 {
        let clear = StandardStreams.isErrorTerminal ? "\r\u{1B}[K" : ""
        let last = lastID.isEmpty ? "" : "; the last is \(EventText.visible(lastID[...]))"
        StandardStreams.complain("\(clear)\(acknowledged) events acknowledged\(last)")
        return status
    }

    private func say(_ text: String) {
        StandardStreams.complain("plinth publish: \(text)")
    }
}
#endif
