// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import ArgumentParser
import Foundation
import HTTPTypes
import PlinthClient
import PlinthStreams

/// `plinth listen`: prints the events of a stream as they arrive.
struct Listen: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the events of a stream as they arrive, and reconnect when it ends.",
        discussion: """
            Try it:

              plinth listen http://localhost:8080/topics/news
              plinth listen --json --count 10 http://localhost:8080/topics/news
              plinth listen --resume-file news.id http://localhost:8080/topics/news >> news.log

            By default, events are printed in readable form: type, ID and data, with control characters replaced by \
            visible symbols. With --json, each event is a line {"type":…,"data":…,"id":…} as printed by plinth decode; \
            with --raw, a block of an event stream.

            When the stream ends or cannot be reached, the cause is printed on standard error and the client \
            reconnects. It waits for the reconnection time that the stream set (3 seconds if none) plus a random time \
            that grows with each failure, up to 30 seconds, and resumes after the last event.

            With --resume-file, the ID of the last event is kept in a file once the event is printed, even if the \
            process is killed, and the next run resumes after it. In a pipe to plinth publish, let that command keep \
            the file, so that no unpublished event is lost, and only read it here:

              plinth listen --json --resume-from f URL | plinth publish --json --resume-file f URL

            A model API's response, which ends with the data [DONE], and a hub's topics selected by a form:

              plinth listen --once --until data=[DONE] --header 'Content-Type: application/json' --data @ask.json URL
              plinth listen --data 'topic=news&topic=weather' http://localhost:8080/topics

            Each connection sends the data again.

            --hub listens to a Plinth hub: it ends when all topics of the stream have ended. --state URL first gets an \
            application's state, prints it as an event of type state, and listens from the hub's mark in the \
            response's Last-Event-ID, so that no event is missed between the two. After a gap it gets the state again.

              plinth listen --json --state http://localhost:3000/cart http://localhost:8080/topics/cart

            Exit status: 0 after --count events, after an --until event, after the --for time, or if the reader of the \
            output has closed it; 2 if the time ran out before that count or event; 3 if the server ended the stream \
            for good (204); 4 on a permanent failure: another status, a response that is not an event stream, or a \
            state without a mark; 5 with --once, if the stream ended or could not be reached; 6 with --hub or --state, \
            if all topics have ended; 64 for a usage error; 74 if the resume file cannot be used.
            """
    )

    @Argument(help: "The URL of the stream.")
    var url: String

    @OptionGroup var request: RequestOptions

    @Option(help: ArgumentHelp("The method of the request (default: GET, and POST with --data).", valueName: "method"))
    var method: String?

    @Option(
        help: ArgumentHelp(
            """
            The body of the request: text, @FILE for a file's content, or - for standard input. Its Content-Type is \
            application/x-www-form-urlencoded unless set with --header.
            """,
            valueName: "text"
        )
    )
    var data: String?

    @OptionGroup var format: EventFormat

    @Flag(
        help: """
            The server is a Plinth hub: exit with status 6 once all topics of the stream have ended, and explain gaps.
            """
    )
    var hub = false

    @Option(
        help: ArgumentHelp(
            """
            Get the state from this URL first, print it as an event of type state, and start after the \
            Last-Event-ID of its response; again after each gap. Implies --hub.
            """,
            valueName: "url"
        )
    )
    var state: String?

    @Flag(help: "Also print comments.")
    var comments = false

    @Option(
        name: .customLong("type"),
        help: ArgumentHelp(
            "Print only events of this type; the default type is 'message'. Repeatable.",
            valueName: "type"
        )
    )
    var types: [String] = []

    @Option(
        help: ArgumentHelp(
            "Start after this ID, unless the resume file has one; 'earliest' starts at a Plinth hub's oldest event.",
            valueName: "id"
        )
    )
    var lastEventID: String?

    @Option(help: ArgumentHelp("Start after the ID in this file, and update it with each event.", valueName: "file"))
    var resumeFile: String?

    @Option(
        help: ArgumentHelp(
            "Start after the ID in this file, if it exists, without updating it.",
            valueName: "file"
        )
    )
    var resumeFrom: String?

    @Option(help: ArgumentHelp("Exit after this many events.", valueName: "number"))
    var count: Int?

    @Option(
        help: ArgumentHelp(
            """
            Exit after an event of this type; with data=TEXT, after an event whose data is TEXT. Use type=TYPE for a \
            type that begins with data= or type=. The event is printed like any other. Repeatable.
            """,
            valueName: "type"
        )
    )
    var until: [String] = []

    @Option(name: .customLong("for"), help: ArgumentHelp("Exit after this time: 30s, 5m, 2h.", valueName: "time"))
    var time: String?

    @Option(
        help: ArgumentHelp(
            "Reconnect if no byte, not even a heartbeat, arrives for this time (default: never).",
            valueName: "time"
        )
    )
    var idleTimeout: String?

    @Option(
        help: ArgumentHelp(
            "Reconnect if the response does not start within this time (default: that of --idle-timeout).",
            valueName: "time"
        )
    )
    var responseTimeout: String?

    @Option(
        name: .customLong("retry-status"),
        help: ArgumentHelp(
            """
            Also reconnect after this status, or a range such as 400-499. Repeatable. Always retried: 408, 425, 429, \
            500, 502, 503, 504, 509, 520 to 530.
            """,
            valueName: "status"
        )
    )
    var retryStatuses: [String] = []

    @Flag(help: "Exit when the first connection ends.")
    var once = false

    @Option(help: ArgumentHelp("Maximum bytes per event.", valueName: "bytes"))
    var maximumSize = 16 * 1024 * 1024

    func validate() throws {
        try RequestOptions.check(url)
        // An invalid proxy in the environment is a usage error, too.
        _ = try request.route(to: url)
        if let state {
            try RequestOptions.check(state)
            _ = try request.route(to: state)
            if resumeFile != nil || resumeFrom != nil || lastEventID != nil {
                throw ValidationError(
                    "--state determines where to start; it excludes --resume-file, --resume-from and --last-event-id."
                )
            }
        }
        if resumeFile != nil, resumeFrom != nil {
            throw ValidationError("--resume-file and --resume-from are mutually exclusive.")
        }
        if let count, count < 1 { throw ValidationError("--count must be at least 1.") }
        if maximumSize < 1 { throw ValidationError("--maximum-size must be at least 1 byte.") }
        if let method, HTTPRequest.Method(method) == nil {
            throw ValidationError("--method must be a method such as POST: \(method.debugDescription)")
        }
        for text in retryStatuses { _ = try Self.statuses(text) }
        for text in until { _ = try Self.terminator(text) }
        if let lastEventID, lastEventID.utf8.count > EventSourceConfiguration().maximumLastEventIDSize {
            throw ValidationError(
                "--last-event-id has \(lastEventID.utf8.count) bytes; the maximum is "
                    + "\(EventSourceConfiguration().maximumLastEventIDSize)."
            )
        }
        for (name, text) in [
            ("--for", time), ("--idle-timeout", idleTimeout), ("--response-timeout", responseTimeout),
        ] {
            if let text, TimeText.duration(text) == nil {
                throw ValidationError("\(name) must be a time such as 250ms, 90s, 5m: \(text)")
            }
        }
    }

    func run() async throws {
        StandardStreams.ignoreBrokenPipes()
        let file: ResumeFile?
        do {
            file = try (resumeFile ?? resumeFrom).map { path throws(ResumeFile.Failure) in
                try ResumeFile(path, isWritten: resumeFile != nil)
            }
        } catch {
            throw leave(74, "\(error)")
        }
        if let count = file?.id.utf8.count, count > EventSourceConfiguration().maximumLastEventIDSize {
            throw leave(74, "the resume file holds an event ID of \(count) bytes, too long to send")
        }
        let configuration = try configuration(file)
        let clock = ListenClock(time.flatMap(TimeText.duration))
        let timer = clock.start()
        defer { timer?.cancel() }
        var output = try output(configuration, file)
        let end =
            state == nil
            ? try await listen(configuration, clock, &output) : try await follow(configuration, clock, &output)
        switch end {
        case .noContent where isHub: throw leave(6, "all topics have ended (204)")
        case .noContent: throw leave(3, "the server ended the stream for good (204)")
        case .topicsEnded: throw leave(6, "all topics have ended")
        case .closed, .gap: break
        }
        // The timer closed the source.
        if let count { throw leave(2, "the time ran out before \(count) events arrived") }
        if !until.isEmpty { throw leave(2, "the time ran out before an event of --until arrived") }
    }

    var isHub: Bool { hub || state != nil }

    // MARK: - Parts

    private func configuration(_ file: ResumeFile?) throws -> EventSourceConfiguration {
        var configuration = EventSourceConfiguration()
        configuration.headerFields = try request.fields()
        if let data {
            configuration.method = .post
            configuration.body = try Self.body(data)
            if configuration.headerFields[.contentType] == nil {
                configuration.headerFields[.contentType] = "application/x-www-form-urlencoded"
            }
        }
        if let method = method.flatMap({ HTTPRequest.Method($0) }) { configuration.method = method }
        configuration.includesComments = comments
        configuration.maximumEventSize = maximumSize
        configuration.idleTimeout = idleTimeout.flatMap(TimeText.duration)
        configuration.responseTimeout = responseTimeout.flatMap(TimeText.duration)
        configuration.retryableStatuses = EventSourceConfiguration.transientStatuses
        for text in retryStatuses { configuration.retryableStatuses.formUnion(try Self.statuses(text)) }
        // The file's ID is newer than one on the command line.
        let saved = file?.id ?? ""
        configuration.lastEventID = saved.isEmpty ? lastEventID ?? "" : saved
        return configuration
    }

    private func output(_ configuration: EventSourceConfiguration, _ file: ResumeFile?) throws -> ListenOutput {
        ListenOutput(
            text: format.text,
            types: Set(types),
            ends: try until.map { try Self.terminator($0) },
            count: count,
            file: resumeFile == nil ? nil : file,
            topics: isHub ? HubTopics(url, form: configuration.body) : nil
        )
    }

    static func seconds(_ time: Duration) -> String {
        let tenths = time.wholeMilliseconds / 100
        return "\(tenths / 10).\(tenths % 10) s"
    }

    func complain(_ text: String) {
        // The text may quote the server.
        StandardStreams.complain("plinth listen: \(EventText.visible(text[...]))")
    }

    func leave(_ status: Int32, _ text: String) -> ExitCode {
        complain(text)
        return ExitCode(status)
    }
}
#endif
