// SPDX-License-Identifier: Apache-2.0

#if Command
import ArgumentParser
import PlinthEvents

/// `plinth decode`: an event stream in, JSON lines out.
struct Decode: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Read an event stream on standard input and print each event as a line of JSON.",
        discussion: """
            Each event is an object {"type":…,"data":…,"id":…}, with "retry" (milliseconds) after these if the event's \
            block had a retry field. "type" is "message" if the event names none; "id" is the event's own ID: null if \
            it has none, "" if it resets the last event ID. Invalid UTF-8 is repaired with U+FFFD. Events are printed \
            as they arrive. An event without its blank line at the end of input is not printed, as browsers do not \
            dispatch it; a note on standard error says so.

            Control characters, DEL, C1 controls, line and paragraph separators and the controls of bidirectional text \
            are escaped in the JSON, so that a terminal obeys none of them.

            With --comments, what dispatches no event is printed too: a comment as {"comment":…}, with all that \
            follows the colon, as soon as its line ends, so before the event within whose lines it stands; and a block \
            without data as {"id":…}, {"retry":…} or both. plinth encode reads all of these.

            A line or event above the maximum size ends the command with status 1, after all that came before it.
            """
    )

    @Flag(help: "Also print comments, and blocks that have an ID or a reconnection time and no data.")
    var comments = false

    @Option(help: "The bytes of one read at most.")
    var readSize = 64 * 1024

    @Option(help: "The bytes that a line or an event may have.")
    var maximumSize = ServerSentEventParser.defaultMaximumSize

    func validate() throws {
        if readSize < 1 || readSize > 1 << 30 { throw ValidationError("--read-size is 1 to 2^30 bytes.") }
        if maximumSize < 1 { throw ValidationError("--maximum-size is at least 1 byte.") }
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
                "plinth decode: the input ends within \(what), before the blank line behind it; that is not printed"
            )
        }
    }
}
#endif
