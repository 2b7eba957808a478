// SPDX-License-Identifier: Apache-2.0

#if Command
import ArgumentParser

/// `plinth encode`: converts JSON lines to an event stream.
struct Encode: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Read JSON lines from standard input and print them as an event stream.",
        discussion: """
            The reverse of plinth decode. Each line is an object:

              {"data":…} with optional "type", "id" and "retry" (milliseconds): an event. The default type "message" \
            is omitted from the output.
              {"id":…}, {"retry":…} or both, without "data": sets the client's last event ID or reconnection time \
            without dispatching an event.
              {"comment":…}: a comment.

            A null value counts as absent. Blank lines are skipped. At the first invalid line the command prints the \
            line number and ends with status 1, after writing all earlier lines.
            """
    )

    @Option(help: "Maximum bytes per JSON line.")
    var maximumSize = 128 * 1024 * 1024

    func validate() throws {
        if maximumSize < 1 { throw ValidationError("--maximum-size must be at least 1 byte.") }
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
