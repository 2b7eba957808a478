// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import ArgumentParser

/// How `listen` and `wait` print events.
struct EventFormat: ParsableArguments {
    @Flag(help: "Print each event as a JSON line.")
    var json = false

    @Flag(help: "Print an event stream.")
    var raw = false

    func validate() throws {
        if json, raw { throw ValidationError("--json and --raw are mutually exclusive.") }
    }

    var text: EventText {
        EventText(form: json ? .json : raw ? .raw : .readable(colours: StandardStreams.isOutputTerminal))
    }
}
#endif
