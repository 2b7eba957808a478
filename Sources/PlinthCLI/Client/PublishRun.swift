// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import PlinthClient
import PlinthStreams

/// Publishes the events of standard input to a hub, in order and in batches.
struct PublishRun {
    let publisher: HubPublisher
    let file: ResumeFile?
    /// How long to retry an unanswered request.
    let retryTime: Duration
    /// Whether to skip an event of a type that the hub reserves, rather than end the run.
    let skipsReserved: Bool
    private var acknowledged = 0
    /// The number of skipped lines: invalid, or of a type that the hub reserves.
    private var skipped = 0
    private var lastID = ""
    private var lastShown = ContinuousClock.now

    init(publisher: HubPublisher, file: ResumeFile?, retryTime: Duration, skipsReserved: Bool) {
        self.publisher = publisher
        self.file = file
        self.retryTime = retryTime
        self.skipsReserved = skipsReserved
    }

    /// Publishes until standard input ends or a failure occurs.
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
                    lastID = try await publisher.retrying(for: retryTime) { [batch] in
                        try await publisher.publish(batch)
                    }
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

    /// Removes the accepted events from the batch, and the next event if it is skipped.
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
                ? "the events of \(which) may or may not have been published; later lines were not"
                : "the events from line \(first) on were not published"
        )
        return report(1)
    }

    /// Updates the progress line on a terminal, at most every 100 ms.
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
