// SPDX-License-Identifier: Apache-2.0

// Prints an event source's messages as a browser's script would see them, one JSON object per line, unbuffered:
//
//     event-source-probe URL SECONDS [--close-after-ms N | --close-on-event N | --close-after-error-ms N]
//
//     {"k":"open"}
//     {"k":"event","type":"message","data":"…","lastEventId":"…"}
//     {"k":"error","state":"connecting"}                             or "closed"
//
// After closing, keeps running until SECONDS have passed, and prints anything that still arrives.

#if Client

import PlinthTestSupport
import Foundation
import PlinthClient

let usage = """
    usage: event-source-probe URL SECONDS [--close-after-ms N | --close-on-event N | --close-after-error-ms N]

    """

/// When the probe closes the source.
enum Closing {
    case never
    case after(milliseconds: Int)
    case onEvent(Int)
    case afterError(milliseconds: Int)
}

func fail() -> Never {
    FileHandle.standardError.write(Data(usage.utf8))
    exit(64)
}

func parse(_ arguments: [String]) -> (url: String, seconds: Double, closing: Closing) {
    guard arguments.count == 2 || arguments.count == 4, let seconds = Double(arguments[1]), seconds >= 0,
        seconds < 1e9
    else { fail() }
    if arguments.count == 2 { return (arguments[0], seconds, .never) }
    guard let number = Int(arguments[3]), number >= 0 else { fail() }
    switch arguments[2] {
    case "--close-after-ms": return (arguments[0], seconds, .after(milliseconds: number))
    case "--close-on-event": return (arguments[0], seconds, .onEvent(number))
    case "--close-after-error-ms": return (arguments[0], seconds, .afterError(milliseconds: number))
    default: fail()
    }
}

func quoted(_ text: String) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    return (try? encoder.encode(text)).map { ascii(String(decoding: $0, as: UTF8.self)) } ?? "null"
}

func say(_ line: String) {
    FileHandle.standardOutput.write(Data((line + "\n").utf8))
}

let (url, seconds, closing) = parse(Array(CommandLine.arguments.dropFirst()))

// Only what a browser does.
var configuration = EventSourceConfiguration()
configuration.backoff = .none
configuration.maximumEventSize = .max
configuration.requiresUTF8 = true
let source = EventSource(url, configuration: configuration)

@Sendable func close(afterMilliseconds milliseconds: Int) {
    Task {
        try? await Task.sleep(for: .milliseconds(milliseconds))
        source.close()
    }
}

if case .after(let milliseconds) = closing { close(afterMilliseconds: milliseconds) }

let reading = Task {
    var events = 0
    var errors = 0
    func sayError(_ state: String) {
        say(#"{"k":"error","state":"\#(state)"}"#)
        errors += 1
        if case .afterError(let milliseconds) = closing, errors == 1 { close(afterMilliseconds: milliseconds) }
    }
    do {
        for try await message in source.messages {
            switch message {
            case .opened:
                say(#"{"k":"open"}"#)
            case .event(let event):
                say(
                    #"{"k":"event","type":\#(quoted(event.type)),"data":\#(quoted(event.data)),"#
                        + #""lastEventId":\#(quoted(event.lastEventID))}"#
                )
                events += 1
                if case .onEvent(events) = closing { source.close() }
            case .disconnected:
                sayError("connecting")
            case .comment:
                break
            }
        }
        // A browser reports a 204 response like other failures.
        if source.readyState == .closed(.noContent) { sayError("closed") }
    } catch {
        sayError("closed")
    }
}

try? await Task.sleep(for: .seconds(seconds))
exit(0)

#endif
