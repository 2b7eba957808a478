// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import ArgumentParser
import Foundation
import NIOHTTP1
import PlinthClient
import PlinthEvents
import PlinthStreams

/// `plinth wait`: waits once for events of a hub.
struct Wait: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Wait for the next events of a hub, once.",
        discussion: """
            Try it:

              plinth wait http://localhost:8080/topics/news
              plinth wait --json --resume-file news.id --last-event-id earliest http://localhost:8080/topics/news

            Sends one long-poll: the hub answers at once with the events after the given ID, or as soon as there is \
            one. Without an ID it waits for a new event. Prints the events as plinth listen does; events that the hub \
            no longer holds are reported by an event of type gap without an ID. Where to continue is printed on \
            standard error, or kept with --resume-file, also if no event came.

              while plinth wait --resume-file news.id http://localhost:8080/topics/news; do …; done

            Exit status: 0 if an event or a gap was printed; 2 if none came in time; 4 if the server refused, or is no \
            hub; 5 if it could not be reached or cannot answer now; 6 if all topics have ended and this was all; 64 \
            for a usage error; 74 if the resume file cannot be used.
            """
    )

    @Argument(help: "The URL of the topic, or of several: topics?topic=a&match=b/*")
    var url: String

    @OptionGroup var request: RequestOptions
    @OptionGroup var format: EventFormat

    @Option(
        name: .customLong("for"),
        help: ArgumentHelp("How long to wait for an event, at most 60s; 0 for not at all.", valueName: "time")
    )
    var time = "30s"

    @Option(
        help: ArgumentHelp(
            "Start after this ID, unless the resume file has one; 'earliest' starts at the hub's oldest event.",
            valueName: "id"
        )
    )
    var lastEventID: String?

    @Option(help: ArgumentHelp("Start after the ID in this file, and update it.", valueName: "file"))
    var resumeFile: String?

    @Option(help: ArgumentHelp("Start after the ID in this file, if it exists.", valueName: "file"))
    var resumeFrom: String?

    @Option(help: ArgumentHelp("How long to wait for a response beyond --for.", valueName: "time"))
    var timeout = "30s"

    @Option(help: ArgumentHelp("Maximum bytes of the response.", valueName: "bytes"))
    var maximumSize = 16 * 1024 * 1024

    /// The longest wait of a hub: 60 s.
    private static let longest = Duration.seconds(60)

    func validate() throws {
        try RequestOptions.check(url)
        _ = try request.route(to: url)
        if resumeFile != nil, resumeFrom != nil {
            throw ValidationError("--resume-file and --resume-from are mutually exclusive.")
        }
        if maximumSize < 1 { throw ValidationError("--maximum-size must be at least 1 byte.") }
        guard let wait = TimeText.duration(time), wait <= Self.longest else {
            throw ValidationError("--for must be a time of at most 60s, such as 500ms or 30s: \(time)")
        }
        guard TimeText.duration(timeout) != nil else {
            throw ValidationError("--timeout must be a time such as 250ms, 90s, 5m: \(timeout)")
        }
        try Self.check(lastEventID)
    }

    private static func check(_ id: String?) throws {
        guard let id else { return }
        let limit = EventSourceConfiguration().maximumLastEventIDSize
        guard id.utf8.count <= limit, HTTPFieldText.isValid(id) else {
            throw ValidationError("--last-event-id must have at most \(limit) bytes and no control characters.")
        }
    }

    func run() async throws {
        let file: ResumeFile?
        do throws(ResumeFile.Failure) {
            file = try (resumeFile ?? resumeFrom).map { path throws(ResumeFile.Failure) in
                try ResumeFile(path, isWritten: resumeFile != nil)
            }
        } catch {
            throw leave(74, "\(error)")
        }
        let saved = file?.id ?? ""
        let start = saved.isEmpty ? lastEventID ?? "" : saved
        guard HTTPFieldText.isValid(start), start.utf8.count <= EventSourceConfiguration().maximumLastEventIDSize else {
            throw leave(74, "the resume file holds an event ID that cannot be sent: control characters, or too long")
        }
        let poll = try await poll(after: start)
        let count = write(poll)
        if resumeFile != nil {
            do throws(ResumeFile.Failure) {
                try file?.write(poll.next)
            } catch {
                throw leave(74, "\(error)")
            }
        } else {
            complain("continue with --last-event-id \(poll.next)")
        }
        if poll.ended, !poll.more { throw leave(6, "all topics have ended") }
        if count == 0 { throw ExitCode(2) }
    }

    private func poll(after id: String) async throws -> HubPollAnswer {
        let requests = HubRequests(options: request, timeout: .zero, note: complain)
        let wait = TimeText.duration(time) ?? .zero
        var sent = HubRequests.Request(url: url, query: "wait=\(wait.wholeMilliseconds)ms")
        sent.maximumBodySize = maximumSize
        sent.timeout = wait + (TimeText.duration(timeout) ?? .zero)
        if !id.isEmpty { sent.fields = [("Last-Event-ID", id)] }
        let answer: HTTPExchange.Answer
        do {
            answer = try await requests.perform(sent)
            await requests.close()
        } catch let failure as HubRequests.Failure {
            await requests.close()
            throw leave(failure.kind == .refused ? 4 : 5, failure.reason)
        }
        guard answer.isSuccess else {
            let isTransient = EventSourceConfiguration.transientStatuses.contains(Int(answer.status.code))
            throw leave(isTransient ? 5 : 4, answer.refusal(HubReport(answer)))
        }
        guard !answer.isTruncated else {
            throw leave(
                4,
                "the response is longer than \(maximumSize) bytes. Raise --maximum-size if you trust the server."
            )
        }
        guard let poll = HubPollAnswer(answer.body) else {
            throw leave(4, "the server answered \(answer.title), but not as a hub answers ?wait=")
        }
        return poll
    }

    /// Prints the events.
    ///
    /// - Returns: Their number, with the gap.
    private func write(_ poll: HubPollAnswer) -> Int {
        let text = format.text
        let namesTopic = HubTopics(url)?.isSingle != true
        var output: [UInt8] = []
        let events = poll.printed(namesTopic: namesTopic)
        for event in events { text.append(event, to: &output) }
        if !output.isEmpty { StandardStreams.put(&output) }
        if let gap = poll.gap { complain(gap.message) }
        return events.count
    }

    private func complain(_ text: String) { StandardStreams.complain("plinth wait: \(text)") }

    private func leave(_ status: Int32, _ text: String) -> ExitCode {
        complain(text)
        return ExitCode(status)
    }
}

/// A hub's answer to a long-poll.
struct HubPollAnswer: Decodable {
    struct Event: Decodable {
        var id: String
        var topic: String
        var type: String
        var data: String
    }

    var events: [Event]
    /// The ID to continue after.
    var next: String
    var gap: HubGapText?
    /// Whether all topics have ended.
    var ended: Bool
    /// Whether the hub holds further events.
    var more: Bool

    /// Parses an answer; nil if it is not a hub's, or an ID could not be sent again.
    init?(_ body: [UInt8]) {
        guard let answer = try? JSONDecoder().decode(HubPollAnswer.self, from: Data(body)),
            (try? ServerSentEvent.ID(answer.next)) != nil, HTTPFieldText.isValid(answer.next)
        else { return nil }
        self = answer
    }

    /// The events as a stream would have them, with the gap first.
    ///
    /// - Parameter namesTopic: Whether a tab and the topic follow each ID, as in a stream of several topics.
    /// - Returns: The events.
    func printed(namesTopic: Bool) -> [EventSource.Event] {
        let received = events.map { event in
            let id = namesTopic ? "\(event.id)\t\(event.topic)" : event.id
            return EventSource.Event(type: event.type, data: event.data, lastEventID: id)
        }
        return (gap.map { [$0.event] } ?? []) + received
    }
}
#endif
