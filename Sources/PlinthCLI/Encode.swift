// SPDX-License-Identifier: Apache-2.0

#if Command
import ArgumentParser

/// `plinth encode`: JSON lines in, an event stream out.
struct Encode: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Read lines of JSON on standard input and print them as an event stream.",
        discussion: """
            The reverse of plinth decode. Each line is an object:

              {"data":…} with any of "type", "id" and "retry" (milliseconds): an event. The type "message" is the \
            default and is not written out.
              {"id":…}, {"retry":…} or both, without "data": they set the last event ID and the reconnection time of \
            clients, and no event is dispatched.
              {"comment":…}: a comment.

            A value of null is the same as no key at all. Blank lines are skipped. The first line that is anything \
            else ends the command with status 1 and a message with its number, after all that came before it.
            """
    )

    @Option(help: "The bytes that a line of JSON may have.")
    var maximumSize = 128 * 1024 * 1024

    func validate() throws {
        if maximumSize < 1 { throw ValidationError("--maximum-size is at least 1 byte.") }
    }

    func run() throws {
        var encoder = EventStreamEncoder(maximumLineSize: maximumSize)
        do {
            try StandardStreams.filter(
                readSize: 64 * 1024,
                { bytes, output throws(EventJSONError) in try encoder.encode(bytes, into: &output) },
                atEnd: { output throws(EventJSONError) in try encoder.finish(into: &output) }
            )
        } catch {
            StandardStreams.complain("plinth encode: \(error.description)")
            throw ExitCode(1)
        }
    }
}
#endif
