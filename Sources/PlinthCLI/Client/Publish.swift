// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import ArgumentParser
import PlinthClient
import PlinthEvents
import PlinthStreams

/// What becomes of events whose type the hub reserves.
enum ReservedTypes: String, ExpressibleByArgument, CaseIterable {
    case skip, fail
}

extension EventLines.Invalid: ExpressibleByArgument {}

/// `plinth publish`: events into a topic.
struct Publish: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Publish events to a topic of a hub.",
        discussion: """
            Try it:

              plinth publish http://localhost:8080/topics/news hello
              date | plinth publish --type date http://localhost:8080/topics/news
              tail -f access.log | plinth publish --lines http://localhost:8080/topics/log

            Without --lines or --json there is one event: the argument, or all of standard input but for a line feed at \
            its end. Its ID is printed when the event is in the hub's history.

            With --lines each line of standard input is an event, as soon as it is there; with --json each is a line \
            {"type":…,"data":…,"id":…} as plinth listen --json and plinth decode print it, and the hub gives the event \
            an ID of its own. Events go out in their order, those together that come while others are on their way, and \
            no more are read than fit. How many are acknowledged is said on standard error. A line that is not UTF-8, \
            longer than --maximum-size or, with --json, no event ends the command after all that came before it was \
            published; --invalid skip leaves it out with a note, --invalid replace puts U+FFFD for what is not UTF-8 and \
            publishes the beginning of a text that is too long.

            A hub has types of its own, such as that of the events that report gaps, and refuses events of these. From \
            --lines and --json such an event is left out with a note, so that a bridge between two hubs passes a gap; \
            with --reserved fail it ends the command.

            With --resume-file the "id" of the last event that was acknowledged is kept in a file, for plinth listen \
            --resume-from: a bridge between two hubs that loses nothing when either side is killed:

              plinth listen --json --resume-from f URL | plinth publish --json --resume-file f URL

            An event may come twice then, if the process ended between the answer and the file. The same holds for \
            --retry-for, which sends again what was not answered.

            A server that answers 307 or 308 leads elsewhere, which is said and followed, 20 times at most; Authorization \
            and Cookie are sent to the URL's own origin only.

            Exit status: 0 if all events were acknowledged, but for those that were skipped; 1 if not, and which is said \
            on standard error; 64 for a mistake on the command line; 74 if the resume file cannot be used.
            """
    )

    @Argument(help: "The URL of the topic.")
    var url: String

    @Argument(help: "The data of the event; standard input if it is not there.")
    var data: String?

    @OptionGroup var request: RequestOptions

    @Flag(help: "Each line of standard input is the data of an event.")
    var lines = false

    @Flag(help: "Each line of standard input is an event in JSON.")
    var json = false

    @Option(help: ArgumentHelp("The type of events that name none.", valueName: "type"))
    var type: String?

    @Option(help: ArgumentHelp("A reconnection time for clients; of a single event.", valueName: "time"))
    var retry: String?

    @Option(
        help: ArgumentHelp("Keep the ID of the last event that was acknowledged, with --json.", valueName: "file")
    )
    var resumeFile: String?

    @Option(
        help: ArgumentHelp(
            "Send again, for so long, what was not answered; it may be published twice (default: do not).",
            valueName: "time"
        )
    )
    var retryFor: String?

    @Option(
        help: ArgumentHelp(
            "What becomes of a line of which no event can be made: fail, skip or replace (default: fail).",
            valueName: "what"
        )
    )
    var invalid: EventLines.Invalid?

    @Option(
        help: ArgumentHelp(
            "What becomes of a line whose event has a type of the hub's own: skip or fail (default: skip).",
            valueName: "what"
        )
    )
    var reserved: ReservedTypes?

    @Option(help: ArgumentHelp("How long to wait for an answer (default: 30s).", valueName: "time"))
    var timeout: String?

    @Option(help: ArgumentHelp("The bytes that a line may have.", valueName: "bytes"))
    var maximumSize = 16 * 1024 * 1024

    func validate() throws {
        try RequestOptions.check(url)
        if lines, json { throw ValidationError("--lines and --json exclude each other.") }
        if data != nil, lines || json { throw ValidationError("With --lines and --json the data is standard input.") }
        if retry != nil, lines || json { throw ValidationError("--retry is for a single event.") }
        if invalid != nil || reserved != nil, !lines, !json {
            throw ValidationError("--invalid and --reserved are for --lines and --json.")
        }
        if resumeFile != nil, !json { throw ValidationError("--resume-file needs --json: other lines have no ID.") }
        if maximumSize < 1 { throw ValidationError("--maximum-size is at least 1 byte.") }
        for (name, text) in [("--retry", retry), ("--retry-for", retryFor), ("--timeout", timeout)] {
            if let text, TimeText.duration(text) == nil {
                throw ValidationError("\(name) is no time such as 250ms, 90s, 5m: \(text)")
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

    func run() async throws {
        // What is wrong with the options is a mistake on the command line, and said before anything is read.
        _ = try request.route(to: url)
        let publisher = HubPublisher(
            url: url,
            options: request,
            timeout: timeout.flatMap(TimeText.duration) ?? .seconds(30),
            note: complain
        )
        let status = lines || json ? await publishLines(publisher) : await publishOne(publisher)
        await publisher.close()
        if status != 0 { throw ExitCode(status) }
    }

    private func publishLines(_ publisher: HubPublisher) async -> Int32 {
        var file: ResumeFile?
        do {
            file = try resumeFile.map { path throws(ResumeFile.Failure) in try ResumeFile(path) }
        } catch {
            complain("\(error)")
            return 74
        }
        var run = PublishRun(
            publisher: publisher,
            file: file,
            retryTime: retryFor.flatMap(TimeText.duration) ?? .zero,
            skipsReserved: reserved != .fail
        )
        let lines = EventLines(
            json ? .json : .text,
            type: type,
            maximumLineSize: maximumSize,
            invalid: invalid ?? .fail
        )
        return await run.run(lines)
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
            let id = try await publisher.publish(data: bytes, type: type, retry: milliseconds)
            StandardStreams.say(TerminalText.visible(id, upTo: HubPublisher.maximumText))
            return 0
        } catch let failure as HubPublisher.Failure {
            let state =
                failure.kind == .unanswered ? "the event may or may not have been published" : "nothing was published"
            complain("\(failure.reason); \(state)")
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
