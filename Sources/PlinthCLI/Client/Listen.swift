// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import ArgumentParser
import Foundation
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

            Exit status: 0 after --count events, after the time of --for, or if nobody reads the output any more; 2 if \
            the time was over before the count; 3 if the server said that the stream is over (204); 4 if it failed for \
            good: another status, or no event stream; 5 with --once when the stream ended or could not be reached; 64 \
            for a mistake on the command line; 74 if the resume file cannot be used.
            """
    )

    @Argument(help: "The URL of the stream.")
    var url: String

    @OptionGroup var request: RequestOptions

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

    @Option(name: .customLong("for"), help: ArgumentHelp("End after so long: 30s, 5m, 2h.", valueName: "time"))
    var time: String?

    @Option(
        help: ArgumentHelp(
            "Connect again if nothing, not even a heartbeat, comes for so long (default: never).",
            valueName: "time"
        )
    )
    var idleTimeout: String?

    @Flag(help: "End with the first connection.")
    var once = false

    @Option(help: ArgumentHelp("The bytes that an event may have.", valueName: "bytes"))
    var maximumSize = 16 * 1024 * 1024

    func validate() throws {
        try RequestOptions.check(url)
        if json, raw { throw ValidationError("--json and --raw exclude each other.") }
        if resumeFile != nil, resumeFrom != nil {
            throw ValidationError("--resume-file and --resume-from exclude each other.")
        }
        if let count, count < 1 { throw ValidationError("--count is at least 1.") }
        if maximumSize < 1 { throw ValidationError("--maximum-size is at least 1 byte.") }
        for (name, text) in [("--for", time), ("--idle-timeout", idleTimeout)] {
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
    }

    // MARK: - Parts

    private func configuration(_ file: ResumeFile?) throws -> EventSourceConfiguration {
        var configuration = EventSourceConfiguration()
        configuration.headerFields = try request.fields()
        configuration.includesComments = comments
        configuration.maximumEventSize = maximumSize
        configuration.idleTimeout = idleTimeout.flatMap(TimeText.duration)
        configuration.retryableStatuses = EventSourceConfiguration.transientStatuses
        // What the file holds is later than what an earlier command line said.
        let saved = file?.id ?? ""
        configuration.lastEventID = saved.isEmpty ? lastEventID ?? "" : saved
        return configuration
    }

    /// Prints what comes, until the source is closed or there have been enough.
    private func print(_ source: EventSource, _ file: ResumeFile?) async throws {
        let text = EventText(form: json ? .json : raw ? .raw : .readable(colours: StandardStreams.isOutputTerminal))
        let types = Set(self.types)
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
                    if isPrinted, printed == count { throw ExitCode(0) }
                case .comment(let comment):
                    text.append(comment: comment, to: &output)
                    StandardStreams.put(&output)
                case .disconnected(let error, let wait):
                    wasDisconnected = true
                    if once { throw leave(5, error.message) }
                    complain("\(error.message) Connecting again in \(Self.seconds(wait))\(place(source)).")
                }
            }
        } catch let error as ResumeFile.Failure {
            throw leave(74, "\(error)")
        } catch let error as EventSourceError {
            throw leave(4, error.description)
        }
    }

    private func place(_ source: EventSource) -> String {
        let id = source.lastEventID
        return id.isEmpty ? "" : ", behind the event \(EventText.visible(id[...]))"
    }

    private static func seconds(_ time: Duration) -> String {
        let tenths = time.wholeMilliseconds / 100
        return "\(tenths / 10).\(tenths % 10) s"
    }

    private func complain(_ text: String) {
        StandardStreams.complain("plinth listen: \(text)")
    }

    private func leave(_ status: Int32, _ text: String) -> ExitCode {
        complain(text)
        return ExitCode(status)
    }
}
#endif
