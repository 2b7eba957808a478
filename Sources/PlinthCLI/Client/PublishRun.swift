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
    /// Whether the topic ends after the last event.
    let ends: Bool
    private var numbered: NumberedRun<NumberedTopic>?
    private var acknowledged = 0
    /// The number of skipped lines: invalid, or of a type that the hub reserves.
    private var skipped = 0
    private var lastID = ""
    private var lastShown = ContinuousClock.now

    init(
        publisher: HubPublisher,
        file: ResumeFile?,
        retryTime: Duration,
        skipsReserved: Bool,
        ends: Bool,
        numbered: NumberedRun<NumberedTopic>? = nil
    ) {
        self.publisher = publisher
        self.file = file
        self.retryTime = retryTime
        self.skipsReserved = skipsReserved
        self.ends = ends
        self.numbered = numbered
    }

    /// Publishes until standard input ends or a failure occurs.
    ///
    /// - Returns: The exit status.
    mutating func run(_ lines: EventLines) async -> Int32 {
        let status = await begin()
        if status != 0 { return status }
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
            if next.isEnd {
                let status = ends ? await end() : 0
                return report(status)
            }
        }
    }

    /// Asks the hub which events of an earlier run it has.
    private mutating func begin() async -> Int32 {
        do {
            try await numbered?.begin()
            return 0
        } catch {
            return status(of: error)
        }
    }

    private mutating func end() async -> Int32 {
        do {
            guard numbered != nil else {
                let published = try await publisher.retrying(for: retryTime) { try await publisher.end() }
                lastID = published.id
                if published.isRepeated { say("the topic had ended") }
                return 0
            }
            guard try await numbered?.end() ?? true else {
                say("the topic is not ended: the input has not repeated the events that were under way")
                return 1
            }
            lastID = numbered?.lastID ?? lastID
            return 0
        } catch {
            let status = status(of: error)
            say("the topic is not ended")
            return status
        }
    }

    private func status(of error: any Error) -> Int32 {
        switch error {
        case let failure as HubPublisher.Failure:
            say(failure.reason)
            if failure.code == "sequence-hole" {
                say(
                    "another process publishes as this producer, or the hub has lost its last events; "
                        + "the same command, run again, asks the hub and continues if it can"
                )
            }
            return failure.status
        case let failure as ProducerNumbers.Failure:
            say("\(failure)")
            return failure.isFenced ? 7 : 1
        case let failure as ResumeFile.Failure:
            say("\(failure)")
            return 74
        default:
            say("\(error)")
            return 1
        }
    }

    private mutating func publish(_ next: EventLines.Batch) async -> Int32 {
        if numbered != nil { return await publishNumbered(next) }
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

    private mutating func publishNumbered(_ next: EventLines.Batch) async -> Int32 {
        do {
            try await numbered?.publish(next)
            showProgress()
            return 0
        } catch {
            let status = status(of: error)
            if let first = numbered?.rest.lines.first {
                let isOpen = (error as? HubPublisher.Failure)?.kind == .unanswered
                say(
                    "the events from line \(first) on were not published"
                        + (isOpen ? ", or not all of them: run the same command again, which publishes none twice" : "")
                )
            }
            return report(status)
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
        // Retried for its own time, as these were.
        if accepted > 0, failure.isWorthRepeating, retryTime > .zero || failure.hasNewToken { return 0 }
        say(failure.reason)
        let first = batch.lines.first ?? last
        let which = first == last ? "line \(first)" : "lines \(first) to \(last)"
        say(
            failure.kind == .unanswered
                ? "the events of \(which) may or may not have been published; later lines were not"
                : "the events from line \(first) on were not published"
        )
        return report(failure.status)
    }

    /// Updates the progress line on a terminal, at most every 100 ms.
    private mutating func showProgress() {
        let now = ContinuousClock.now
        guard now - lastShown > .milliseconds(100) else { return }
        lastShown = now
        StandardStreams.overwrite("\(numbered?.acknowledged ?? acknowledged) events acknowledged")
    }

    private func report(_ status: Int32) -> Int32 {
        StandardStreams.overwrite("")
        let acknowledged = numbered?.acknowledged ?? acknowledged
        let skipped = skipped + (numbered?.skipped ?? 0)
        var left = skipped == 0 ? "" : ", \(skipped) lines skipped"
        if let count = numbered?.leftOut, count > 0 { left += ", \(count) left out, which an earlier run published" }
        let lastID = numbered?.lastID ?? lastID
        let last = lastID.isEmpty ? "" : "; the last is \(TerminalText.visible(lastID, upTo: HubRequests.maximumText))"
        StandardStreams.complain("\(acknowledged) events acknowledged\(left)\(last)")
        return status
    }

    private func say(_ text: String) {
        StandardStreams.complain("plinth publish: \(text)")
    }
}

/// A topic of a hub over HTTP, which takes numbered events; repeats requests whose outcome is open.
struct NumberedTopic: NumberedHub {
    let publisher: HubPublisher
    /// How long to repeat a request.
    let retryTime: Duration

    func state(of producer: String) async throws -> ProducerState? {
        try await publisher.retrying(for: retryTime) { try await publisher.state(of: producer) }
    }

    func publish(_ batch: EventLines.Batch, _ stamp: ProducerStamp) async throws -> String {
        try await publisher.retrying(for: retryTime) { try await publisher.publish(batch, stamp) }
    }

    func end(_ stamp: ProducerStamp) async throws -> HubPublisher.Published {
        try await publisher.retrying(for: retryTime) { try await publisher.end(stamp) }
    }
}
#endif
