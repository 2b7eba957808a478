// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import PlinthClient
import PlinthStreams

/// The events of standard input on their way to a hub, batch by batch, in their order.
struct PublishRun {
    let publisher: HubPublisher
    let file: ResumeFile?
    /// How long what was not answered is sent again.
    let retryTime: Duration
    /// Whether an event whose type the hub reserves is left out, instead of being the last.
    let skipsReserved: Bool
    private var acknowledged = 0
    /// Lines that were left out: no event could be made of them, or the hub reserves their type.
    private var skipped = 0
    private var lastID = ""
    private var lastShown = ContinuousClock.now

    init(publisher: HubPublisher, file: ResumeFile?, retryTime: Duration, skipsReserved: Bool) {
        self.publisher = publisher
        self.file = file
        self.retryTime = retryTime
        self.skipsReserved = skipsReserved
    }

    /// Publishes until standard input ends, or something fails.
    ///
    /// - Returns: The exit status.
    mutating func run(_ lines: EventLines) async -> Int32 {
        let input = StandardInput(lines)
        while true {
            let next = await input.next()
            skipped += next.batch.skipped
            if next.batch.count > 0 || next.batch.lastID != nil {
                let status = await publish(next.batch)
                if status != 0 { return status }
            }
            if let failure = next.failure {
                say(failure)
                return report(1)
            }
            if next.isEnd { return report(0) }
        }
    }

    private mutating func publish(_ next: EventLines.Batch) async -> Int32 {
        var batch = next
        do {
            while batch.count > 0 {
                do {
                    lastID = try await send(batch)
                    acknowledged += batch.count
                    break
                } catch let failure as HubPublisher.Failure {
                    let status = try handle(failure, &batch)
                    if status != 0 { return status }
                }
            }
            if let id = next.lastID { try file?.write(id) }
            showProgress()
            return 0
        } catch let failure as ResumeFile.Failure {
            say("\(failure)")
            return report(74)
        } catch {
            say("\(error)")
            return report(1)
        }
    }

    /// Removes what the hub took, and the event behind it if that is to be left out.
    ///
    /// - Returns: The exit status; 0 to publish the rest.
    private mutating func handle(_ failure: HubPublisher.Failure, _ batch: inout EventLines.Batch) throws -> Int32 {
        let accepted = min(failure.accepted, batch.count)
        acknowledged += accepted
        if let id = failure.lastID { lastID = id }
        if let id = batch.lastID(ofFirst: accepted) { try file?.write(id) }
        let last = batch.lines.last ?? 0
        batch.removeFirst(accepted)
        if failure.isReserved, skipsReserved, let event = batch.events.first {
            say("line \(event.line): \(failure.reason); the event is skipped")
            skipped += 1
            if let id = event.id { try file?.write(id) }
            batch.removeFirst(1)
            return 0
        }
        say(failure.reason)
        let first = batch.lines.first ?? last
        let which = first == last ? "line \(first)" : "lines \(first) to \(last)"
        say(
            failure.kind == .unanswered
                ? "the events of \(which) may or may not have been published; what follows was not"
                : "the events from line \(first) on were not published"
        )
        return report(1)
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
        guard now - lastShown > .milliseconds(100) else { return }
        lastShown = now
        StandardStreams.overwrite("\(acknowledged) events acknowledged")
    }

    private func report(_ status: Int32) -> Int32 {
        StandardStreams.overwrite("")
        let left = skipped == 0 ? "" : ", \(skipped) lines skipped"
        let last = lastID.isEmpty ? "" : "; the last is \(TerminalText.visible(lastID, upTo: HubPublisher.maximumText))"
        StandardStreams.complain("\(acknowledged) events acknowledged\(left)\(last)")
        return status
    }

    private func say(_ text: String) {
        StandardStreams.complain("plinth publish: \(text)")
    }
}
#endif
