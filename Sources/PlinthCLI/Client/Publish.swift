// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import ArgumentParser
import PlinthClient
import PlinthEvents
import PlinthStreams

/// How `publish` handles events of a type that the hub reserves.
enum ReservedTypes: String, ExpressibleByArgument, CaseIterable {
    case skip, fail
}

extension EventLines.Invalid: ExpressibleByArgument {}

/// `plinth publish`: publishes events to a topic.
struct Publish: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Publish events to a topic of a hub.",
        discussion: """
            Try it:

              plinth publish http://localhost:8080/topics/news hello
              date | plinth publish --type date http://localhost:8080/topics/news
              tail -f access.log | plinth publish --lines http://localhost:8080/topics/log

            Without --lines or --json, publishes one event: the argument, or all of standard input without a final \
            line feed. Prints the event's ID once it is in the hub's history.

            With --lines, each line of standard input is an event, published as soon as it arrives. With --json, each \
            line is an object {"type":…,"data":…,"id":…} as printed by plinth listen --json and plinth decode; the hub \
            assigns a new ID. Events are published in order. Those that arrive while a request is in flight are sent \
            together, and reading pauses when the buffer is full. The number of acknowledged events is printed on \
            standard error. A line that is not UTF-8, is longer than --maximum-size or, with --json, is not an event \
            ends the command after all earlier events are published. --invalid skip skips it with a message; \
            --invalid replace replaces invalid UTF-8 with U+FFFD and truncates text that is too long.

            A hub rejects events of its own types, such as those that report gaps. With --lines and --json such an \
            event is skipped with a message, so that a bridge between two hubs continues past a gap; with \
            --reserved fail it ends the command.

            With --resume-file, the "id" of the last acknowledged event is kept in a file for plinth listen \
            --resume-from. This bridge between two hubs loses nothing when either side is killed:

              plinth listen --json --resume-from f URL | plinth publish --json --resume-file f URL

            An event is published twice if the process ends after the response but before the file is written. \
            --retry-for can also duplicate events, as it repeats unanswered requests. With --producer neither happens: \
            events are numbered, and the hub takes each number once. The file then also holds the numbers and IDs of \
            the events under way; after a restart, the hub is asked which of them it has taken, and those are left out:

              plinth listen --json --resume-from f URL | plinth publish --json --producer p --resume-file f URL

            Each bridge needs a producer ID and a file of its own. Lines without an ID are numbered, too, so that \
            --retry-for publishes none twice; but a later run cannot recognize them, unless --lines reads a file: it \
            continues after the last line published.

            --end ends the topic after the last event: its streams end for good, and the hub takes no more events for \
            it. --key publishes a single event at most once, however often the command is run within 10 minutes. \
            --also publishes it to further topics of the hub, as one event:

              plinth publish --end http://localhost:8080/topics/job-7 done
              plinth publish --key order-7 --also orders http://localhost:8080/topics/customer-3 shipped

            Follows 307 and 308 redirects, at most 20 in a row, and reports each target. Sends Authorization and \
            Cookie to the URL's own origin only.

            Exit status: 0 if every event was acknowledged or skipped; 1 if not, with the affected lines on standard \
            error; 6 if the topic has ended; 7 if another process has taken over as the producer; 64 for a usage \
            error; 74 if the resume file cannot be used.
            """
    )

    @Argument(help: "The URL of the topic.")
    var url: String

    @Argument(help: "The data of the event (default: standard input).")
    var data: String?

    @OptionGroup var request: RequestOptions

    @Flag(help: "Publish each line of standard input as the data of an event.")
    var lines = false

    @Flag(help: "Publish each line of standard input as a JSON event.")
    var json = false

    @Option(help: ArgumentHelp("The type of events that specify none.", valueName: "type"))
    var type: String?

    @Option(help: ArgumentHelp("The reconnection time of a single event, for clients.", valueName: "time"))
    var retry: String?

    @Option(
        help: ArgumentHelp(
            "Keep the ID of the last acknowledged event; requires --json, or --producer.",
            valueName: "file"
        )
    )
    var resumeFile: String?

    @Option(
        help: ArgumentHelp(
            "Number the events as this producer, so that none is published twice; requires --resume-file.",
            valueName: "id"
        )
    )
    var producer: String?

    @Flag(help: "End the topic after the last event; with empty data, only end it.")
    var end = false

    @Option(
        help: ArgumentHelp(
            "Publish a single event once only: the hub repeats its answer if it knows this key.",
            valueName: "key"
        )
    )
    var key: String?

    @Option(
        name: .customLong("also"),
        help: ArgumentHelp("Publish a single event to this topic, too. Repeatable.", valueName: "topic")
    )
    var others: [String] = []

    @Option(
        help: ArgumentHelp(
            """
            Retry for this long if there is no response, or the hub cannot take events now; may publish events twice \
            without --producer or --key (default: no retries).
            """,
            valueName: "time"
        )
    )
    var retryFor: String?

    @Option(
        help: ArgumentHelp(
            "How to handle an invalid line: fail, skip or replace (default: fail).",
            valueName: "what"
        )
    )
    var invalid: EventLines.Invalid?

    @Option(
        help: ArgumentHelp(
            "How to handle an event of a type that the hub reserves: skip or fail (default: skip).",
            valueName: "what"
        )
    )
    var reserved: ReservedTypes?

    @Option(help: ArgumentHelp("How long to wait for a response (default: 30s).", valueName: "time"))
    var timeout: String?

    @Option(help: ArgumentHelp("Maximum bytes per line.", valueName: "bytes"))
    var maximumSize = 16 * 1024 * 1024

    func validate() throws {
        try RequestOptions.check(url)
        if lines, json { throw ValidationError("--lines and --json are mutually exclusive.") }
        if data != nil, lines || json { throw ValidationError("--lines and --json take the data from standard input.") }
        if retry != nil, lines || json { throw ValidationError("--retry cannot be used with --lines or --json.") }
        if invalid != nil || reserved != nil, !lines, !json {
            throw ValidationError("--invalid and --reserved require --lines or --json.")
        }
        if resumeFile != nil, !json, producer == nil || !lines {
            throw ValidationError("--resume-file requires --json: other lines have no ID.")
        }
        try checkHubOptions()
        if maximumSize < 1 { throw ValidationError("--maximum-size must be at least 1 byte.") }
        for (name, text) in [("--retry", retry), ("--retry-for", retryFor), ("--timeout", timeout)] {
            if let text, TimeText.duration(text) == nil {
                throw ValidationError("\(name) must be a time such as 250ms, 90s, 5m: \(text)")
            }
        }
        if let type {
            do {
                _ = try ServerSentEvent(type: type, data: "")
            } catch {
                throw ValidationError("--type: \(error)")
            }
        }
    }

    private func checkHubOptions() throws {
        if let producer {
            if !lines, !json {
                throw ValidationError("--producer requires --lines or --json; use --key for one event.")
            }
            if resumeFile == nil {
                throw ValidationError("--producer requires --resume-file, which holds its numbers.")
            }
            try Self.checkField("--producer", producer)
        }
        if let key {
            if lines || json { throw ValidationError("--key stands for a single event; use --producer.") }
            try Self.checkField("--key", key)
        }
        guard !others.isEmpty else { return }
        if lines || json { throw ValidationError("--also is for a single event, not for --lines or --json.") }
        if end { throw ValidationError("--end ends one topic; it cannot be used with --also.") }
        if others.contains("") { throw ValidationError("--also must be the name of a topic.") }
        guard HubTopics(url) != nil else {
            throw ValidationError("--also requires the URL of a hub's topic, which ends in topics/NAME.")
        }
    }

    /// Checks a value that is sent as a header field.
    private static func checkField(_ name: String, _ value: String) throws {
        guard (1...255).contains(value.utf8.count) else { throw ValidationError("\(name) must have 1 to 255 bytes.") }
        guard HTTPFieldText.isValid(value) else {
            throw ValidationError("\(name) contains control characters, or spaces at an end: \(value.debugDescription)")
        }
    }

    func run() async throws {
        // Reports invalid options as usage errors before reading any input.
        _ = try request.route(to: url)
        let publisher = HubPublisher(
            url: others.isEmpty ? url : HubTopics(url)?.url(adding: others) ?? url,
            options: request,
            timeout: timeout.flatMap(TimeText.duration) ?? .seconds(30),
            note: complain
        )
        let status = lines || json ? await publishLines(publisher) : await publishOne(publisher)
        await publisher.close()
        if status != 0 { throw ExitCode(status) }
    }

    private var retryTime: Duration { retryFor.flatMap(TimeText.duration) ?? .zero }

    private func publishLines(_ publisher: HubPublisher) async -> Int32 {
        var file: ResumeFile?
        var numbered: NumberedRun<NumberedTopic>?
        do throws(ResumeFile.Failure) {
            if let producer, let resumeFile {
                numbered = try numberedRun(producer, try ProducerFile(resumeFile), publisher)
            } else {
                file = try resumeFile.map { path throws(ResumeFile.Failure) in try ResumeFile(path) }
            }
        } catch {
            complain("\(error)")
            return 74
        }
        // Of a file, each run reads the same lines, so that their numbers identify them.
        let numbersLines = lines && numbered != nil && StandardStreams.isInputFile
        var skippedLines = 0
        if numbersLines, let mark = numbered?.numbers.mark {
            guard let line = Int(mark) else {
                complain("the resume file holds an event ID and not the number of a line; use --json, or another file")
                return 74
            }
            skippedLines = line
            complain("continuing after line \(line)")
        }
        var run = PublishRun(
            publisher: publisher,
            file: file,
            retryTime: retryTime,
            skipsReserved: reserved != .fail,
            ends: end,
            numbered: numbered
        )
        let lines = EventLines(
            json ? .json : .text,
            type: type,
            maximumLineSize: maximumSize,
            invalid: invalid ?? .fail,
            numbersLines: numbersLines,
            skippedLines: skippedLines
        )
        return await run.run(lines)
    }

    private func numberedRun(
        _ producer: String,
        _ file: ProducerFile,
        _ publisher: HubPublisher
    ) throws(ResumeFile.Failure) -> NumberedRun<NumberedTopic> {
        let numbers: ProducerNumbers
        do throws(ProducerNumbers.FileFailure) {
            numbers = try ProducerNumbers(file.content, producer: producer)
        } catch {
            throw ResumeFile.Failure(
                description: "the resume file \(file.path), line \(error.line): \(error.reason); "
                    + "choose another file, or remove it to start over"
            )
        }
        return NumberedRun(
            numbers,
            hub: NumberedTopic(publisher: publisher, retryTime: retryTime),
            skipsReserved: reserved != .fail,
            store: { try file.write($0.fileContent) },
            note: complain
        )
    }

    private func publishOne(_ publisher: HubPublisher) async -> Int32 {
        var bytes: [UInt8]
        if let data {
            bytes = Array(data.utf8)
        } else {
            bytes = []
            do {
                while case let more = try StandardStreams.read(64 * 1024), !more.isEmpty {
                    bytes += more
                    guard bytes.count <= maximumSize else {
                        complain("standard input is longer than \(maximumSize) bytes; nothing was published")
                        return 1
                    }
                }
            } catch {
                complain("\(error); nothing was published")
                return 1
            }
            if bytes.last == 0x0A { bytes.removeLast() }
        }
        do {
            let milliseconds = retry.flatMap(TimeText.duration).map { "\($0.wholeMilliseconds)" }
            let event = HubPublisher.Single(data: bytes, type: type, retry: milliseconds, key: key, ends: end)
            let published = try await publisher.retrying(for: retryTime) { try await publisher.publish(event) }
            if published.isRepeated {
                complain(key == nil ? "the topic had ended" : "the hub had taken the event with this key before")
            }
            StandardStreams.say(TerminalText.visible(published.id, upTo: HubRequests.maximumText))
            return 0
        } catch let failure as HubPublisher.Failure {
            let state =
                failure.kind != .unanswered
                ? "nothing was published"
                : "the event may or may not have been published"
                    + (key == nil ? "" : "; run the same command again, which publishes it once")
            complain("\(failure.reason); \(state)")
            return failure.status
        } catch {
            complain("\(error); nothing was published")
        }
        return 1
    }

    private func complain(_ text: String) {
        StandardStreams.complain("plinth publish: \(text)")
    }
}
#endif
