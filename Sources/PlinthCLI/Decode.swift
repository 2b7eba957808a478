// SPDX-License-Identifier: Apache-2.0

#if Command
import ArgumentParser
import PlinthEvents

/// `plinth decode`: converts an event stream to JSON lines.
struct Decode: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Read an event stream from standard input and print each event as a JSON line.",
        discussion: """
            Each event is an object {"type":…,"data":…,"id":…}, followed by "retry" (milliseconds) if the event's \
            block has a retry field. "type" defaults to "message". "id" is the event's own ID: null if it has none, \
            "" if it resets the last event ID. Invalid UTF-8 is replaced with U+FFFD. Events are printed as they \
            arrive. An event without its blank line at the end of input is not printed, as browsers do not dispatch \
            it; a message on standard error reports it.

            The JSON escapes control characters, DEL, C1 controls, line and paragraph separators, and bidirectional \
            controls, so a terminal interprets none of them.

            With --comments, comments and blocks without data are printed too. A comment is {"comment":…}, with \
            everything after the colon; it is printed as soon as its line ends, before any event whose lines surround \
            it. A block without data is {"id":…}, {"retry":…} or both. plinth encode reads all of these.

            A line or event above the maximum size ends the command with status 1, after all earlier events are \
            printed.
            """
    )

    @Flag(help: "Also print comments, and blocks with an ID or a reconnection time but no data.")
    var comments = false

    @Option(help: "Maximum bytes per read.")
    var readSize = 64 * 1024

    @Option(help: "Maximum bytes per line and per event.")
    var maximumSize = ServerSentEventParser.defaultMaximumSize

    func validate() throws {
        if readSize < 1 || readSize > 1 << 30 { throw ValidationError("--read-size must be 1 to 2^30 bytes.") }
        if maximumSize < 1 { throw ValidationError("--maximum-size must be at least 1 byte.") }
    }

    func run() throws {
        var decoder = EventStreamDecoder(includesComments: comments, maximumSize: maximumSize)
        do {
            try StandardStreams.filter(readSize: readSize) { bytes, output throws(ServerSentEventParserError) in
                try decoder.decode(bytes, into: &output)
            }
        } catch {
            StandardStreams.complain("plinth decode: \(error.message)")
            throw ExitCode(1)
        }
        if decoder.endsUnfinished() {
            let what = comments ? "an event, a comment or a block" : "an event"
            StandardStreams.complain(
                "plinth decode: the input ends within \(what), before its blank line; that part is not printed"
            )
        }
    }
}
#endif
