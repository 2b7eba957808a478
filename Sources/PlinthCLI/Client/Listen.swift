// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import ArgumentParser
import Foundation
import HTTPTypes
import PlinthClient

/// `plinth listen`: the events of a stream, as they come.
struct Listen: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the events of a stream as they come, and connect again when it ends.",
        discussion: """
            Try it:

              plinth listen http://localhost:8080/topics/news
              plinth listen --json --count 10 http://localhost:8080/topics/news
              plinth listen --resume-file news.id http://localhost:8080/topics/news >> news.log

            On a terminal events are for people to read: type, ID, data; control characters are shown as signs. With \
            --json each is a line {"type":…,"data":…,"id":…} as plinth decode prints it, with --raw a block of an event \
            stream.

            When the stream ends, or cannot be reached, that is said on standard error, and another connection is made \
            after the reconnection time that the stream set, 3 seconds if it set none, and a random time that grows \
            with each failure, up to 30 seconds. It goes on behind the last event.

            With --resume-file the ID of the last event printed is kept in a file, also if the process is killed, and \
            the next run goes on there. In a pipe to plinth publish let that keep the file, so that nothing is lost \
            which it has not published, and only read it here:

              plinth listen --json --resume-from f URL | plinth publish --json --resume-file f URL

            The answer of a model's API, whose last event has the data [DONE], and a hub's topics by a form:

              plinth listen --once --until data=[DONE] --header 'Content-Type: application/json' --data @ask.json URL
              plinth listen --data 'topic=news&topic=weather' http://localhost:8080/topics

            Each connection sends the data again.

            Exit status: 0 after --count events, after the event of --until, after the time of --for, or if nothing reads \
            the output any more; 2 if the time was over before the count or that event; 3 if the server said that the stream is over (204); 4 if it failed for \
            good: another status, or no event stream; 5 with --once when the stream ended or could not be reached; 64 \
            for a mistake on the command line; 74 if the resume file cannot be used.
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
            The body of the request: a text, @FILE for what is in a file, or - for standard input. Its Content-Type is \
            application/x-www-form-urlencoded unless --header says otherwise.
            """,
            valueName: "text"
        )
    )
    var data: String?

    @Flag(help: "Print a line of JSON for each event.")
    var json = false

    @Flag(help: "Print an event stream.")
    var raw = false

    @Flag(help: "Print comments, too.")
    var comments = false

    @Option(
        name: .customLong("type"),
        help: ArgumentHelp(
            "Print only events of this type; those without one are 'message'. May be given more than once.",
            valueName: "type"
        )
    )
    var types: [String] = []

    @Option(
        help: ArgumentHelp(
            "Begin behind this ID, unless a file has one; 'earliest' is the oldest event of a Plinth hub.",
            valueName: "id"
        )
    )
    var lastEventID: String?

    @Option(help: ArgumentHelp("Begin behind the ID in this file, and keep it up to date.", valueName: "file"))
    var resumeFile: String?

    @Option(
        help: ArgumentHelp(
            "Begin behind the ID in this file, if it is there, and leave it to others to keep it up to date.",
            valueName: "file"
        )
    )
    var resumeFrom: String?

    @Option(help: ArgumentHelp("End after so many events.", valueName: "number"))
    var count: Int?

    @Option(
        help: ArgumentHelp(
            """
            End after an event of this type, or after one whose data is TEXT if this is data=TEXT; type=TYPE for a type \
            that begins like that. The event is printed as others are. May be given more than once.
            """,
            valueName: "type"
        )
    )
    var until: [String] = []

    @Option(name: .customLong("for"), help: ArgumentHelp("End after so long: 30s, 5m, 2h.", valueName: "time"))
    var time: String?

    @Option(
        help: ArgumentHelp(
            "Connect again if nothing, no answer and not even a heartbeat, comes for so long (default: never).",
            valueName: "time"
        )
    )
    var idleTimeout: String?

    @Option(
        help: ArgumentHelp(
            "Connect again if the answer does not begin for so long (default: the time of --idle-timeout).",
            valueName: "time"
        )
    )
    var responseTimeout: String?

    @Option(
        name: .customLong("retry-status"),
        help: ArgumentHelp(
            """
            Connect again after these statuses as well: 404, or 400-499. May be given more than once. Retried in any \
            case: 408, 425, 429, 500, 502, 503, 504, 509, 520 to 530.
            """,
            valueName: "status"
        )
    )
    var retryStatuses: [String] = []

    @Flag(help: "End with the first connection.")
    var once = false

    @Option(help: ArgumentHelp("The bytes that an event may have.", valueName: "bytes"))
    var maximumSize = 16 * 1024 * 1024

    func validate() throws {
        try RequestOptions.check(url)
        // A proxy of the environment that is none is a mistake, too.
        _ = try request.route(to: url)
        if json, raw { throw ValidationError("--json and --raw exclude each other.") }
        if resumeFile != nil, resumeFrom != nil {
            throw ValidationError("--resume-file and --resume-from exclude each other.")
        }
        if let count, count < 1 { throw ValidationError("--count is at least 1.") }
        if maximumSize < 1 { throw ValidationError("--maximum-size is at least 1 byte.") }
        if let method, HTTPRequest.Method(method) == nil {
            throw ValidationError("--method is no method such as POST: \(method.debugDescription)")
        }
        for text in retryStatuses { _ = try Self.statuses(text) }
        for text in until { _ = try Self.terminator(text) }
        if let lastEventID, lastEventID.utf8.count > EventSourceConfiguration().maximumLastEventIDSize {
            throw ValidationError(
                "--last-event-id has \(lastEventID.utf8.count) bytes, and servers take no more than "
                    + "\(EventSourceConfiguration().maximumLastEventIDSize)."
            )
        }
        for (name, text) in [
            ("--for", time), ("--idle-timeout", idleTimeout), ("--response-timeout", responseTimeout),
        ] {
            if let text, TimeText.duration(text) == nil {
                throw ValidationError("\(name) is no time such as 250ms, 90s, 5m: \(text)")
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
            throw leave(74, "the resume file holds an event ID of \(count) bytes, which is too long to be sent")
        }
        let source = EventSource(url, configuration: try configuration(file), transport: try request.transport())
        let timer = time.flatMap(TimeText.duration).map { time in
            Task {
                // What --for asks for; closing the source ends the loop below.
                try await Task.sleep(for: time)
                source.close()
            }
        }
        defer { timer?.cancel() }
        try await print(source, file)
        if case .closed(.noContent) = source.readyState {
            throw leave(3, "the server says that the stream is over (204)")
        }
        // Closed by the timer.
        if let count { throw leave(2, "the time was over before \(count) events had come") }
        if !until.isEmpty { throw leave(2, "the time was over before the event of --until had come") }
    }

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
        // What the file holds is later than what an earlier command line said.
        let saved = file?.id ?? ""
        configuration.lastEventID = saved.isEmpty ? lastEventID ?? "" : saved
        return configuration
    }

    /// Reads `404` or `400-499`.
    private static func statuses(_ text: String) throws -> ClosedRange<Int> {
        let bounds = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map { Int($0) }
        guard let first = bounds.first ?? nil, let last = bounds.last ?? nil, 400 <= first, first <= last, last <= 599
        else { throw ValidationError("--retry-status is a status from 400 to 599, or a range of them: \(text)") }
        return first...last
    }

    /// Reads `TYPE`, `type=TYPE` or `data=TEXT`.
    private static func terminator(_ text: String) throws -> EventTerminator {
        if text.hasPrefix("data=") { return .data(String(text.dropFirst("data=".count))) }
        let type = text.hasPrefix("type=") ? String(text.dropFirst("type=".count)) : text
        guard !type.isEmpty else { throw ValidationError("--until is the type of an event, or data=TEXT.") }
        return .type(type)
    }

    /// The most bytes of a body.
    private static let maximumBodySize = 16 << 20

    /// Reads `TEXT`, `@FILE` or `-`.
    private static func body(_ text: String) throws -> [UInt8] {
        var bytes: [UInt8] = []
        if text == "-" || text == "@-" {
            while case let more = try StandardStreams.read(64 * 1024), !more.isEmpty, bytes.count <= maximumBodySize {
                bytes += more
            }
        } else if text.hasPrefix("@") {
            let path = String(text.dropFirst())
            do {
                let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
                defer { try? file.close() }
                // Bounded: the path may be that of a device without an end.
                bytes = Array(try file.read(upToCount: maximumBodySize + 1) ?? Data())
            } catch {
                throw ValidationError("--data: the file \(path) cannot be read: \(error.localizedDescription)")
            }
        } else {
            bytes = Array(text.utf8)
        }
        guard bytes.count <= maximumBodySize else {
            throw ValidationError("--data is larger than \(maximumBodySize) bytes.")
        }
        return bytes
    }

    /// Prints what comes, until the source is closed or there have been enough.
    private func print(_ source: EventSource, _ file: ResumeFile?) async throws {
        let text = EventText(form: json ? .json : raw ? .raw : .readable(colours: StandardStreams.isOutputTerminal))
        let types = Set(self.types)
        let ends = try until.map { try Self.terminator($0) }
        var printed = 0
        var wasDisconnected = false
        var output: [UInt8] = []
        do {
            for try await message in source.messages {
                output.removeAll(keepingCapacity: output.capacity <= 1 << 20)
                switch message {
                case .opened:
                    if wasDisconnected { complain("connected again\(place(source))") }
                case .event(let event):
                    let isPrinted = types.isEmpty || types.contains(event.type)
                    if isPrinted {
                        text.append(event, to: &output)
                        StandardStreams.put(&output)
                        printed += 1
                    }
                    if resumeFile != nil { try file?.write(event.lastEventID) }
                    if isPrinted && printed == count || ends.contains(where: { $0.matches(event) }) {
                        throw ExitCode(0)
                    }
                case .comment(let comment):
                    text.append(comment: comment, to: &output)
                    StandardStreams.put(&output)
                case .disconnected(let error, let wait):
                    wasDisconnected = true
                    if once { throw leave(5, Self.text(error)) }
                    complain("\(Self.text(error)) Connecting again in \(Self.seconds(wait))\(place(source)).")
                }
            }
        } catch let error as ResumeFile.Failure {
            throw leave(74, "\(error)")
        } catch let error as EventSourceError {
            throw leave(4, Self.text(error))
        }
    }

    /// What is wrong, and what to do about it with this command.
    private static func text(_ error: EventSourceError) -> String {
        let advice: String?
        var text = error.text
        switch error.code {
        case .unexpectedStatus:
            let isForGood = error.advice != nil
            advice = isForGood ? error.status.map { "With --retry-status \($0) it is tried again." } : nil
        case .tooLarge: advice = "Raise --maximum-size if the server can be trusted."
        default: advice = ConnectionAdvice.sentence(for: error.code, cause: error.cause) ?? error.advice
        }
        if let advice { text += " " + advice }
        return text
    }

    private func place(_ source: EventSource) -> String {
        let id = source.lastEventID
        if id.utf8.count > source.configuration.maximumLastEventIDSize {
            return ", with what is new then: the last event ID has \(id.utf8.count) bytes, too many to be sent"
        }
        return id.isEmpty ? "" : ", behind the event \(id)"
    }

    private static func seconds(_ time: Duration) -> String {
        let tenths = time.wholeMilliseconds / 100
        return "\(tenths / 10).\(tenths % 10) s"
    }

    private func complain(_ text: String) {
        // Much of it is a server's words.
        StandardStreams.complain("plinth listen: \(EventText.visible(text[...]))")
    }

    private func leave(_ status: Int32, _ text: String) -> ExitCode {
        complain(text)
        return ExitCode(status)
    }
}
#endif
