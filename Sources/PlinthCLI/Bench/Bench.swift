// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import ArgumentParser
import PlinthStreams

/// `plinth bench`: measures a hub under load.
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Hold subscribers, publish at a fixed rate, and report latency, losses and order.",
        discussion: """
            Try it:

              plinth serve --log-level error &
              plinth bench --subscribers 1000 --rate 10 --for 20s http://localhost:8080

            The URL names a topic, or a hub, on which a topic with a random name is used. Each event is published by \
            its own request. Latency runs from the start of that request to the event's arrival at a subscriber, and \
            is recorded for every subscriber, since a hub sends to them in turn. Events are published on schedule, \
            however slow the responses, with at most --publishers requests in flight.

            With https:// and HTTP/2, up to 100 streams share a connection; --http1 opens one connection per stream. \
            The load generator uses CPU time as well, so run it on another machine than the hub for accurate figures. \
            Each connection takes a file descriptor (see ulimit -n). A --token-file is read once, at the start.

            Exit status: 0 if nothing was lost, duplicated or out of order; 1 otherwise; 64 for a usage error.
            """
    )

    @Argument(help: "The URL of a hub, or of one of its topics.")
    var url: String

    @OptionGroup var request: RequestOptions

    @Option(name: .shortAndLong, help: ArgumentHelp("Number of streams to hold open.", valueName: "number"))
    var subscribers = 100

    @Option(name: .shortAndLong, help: ArgumentHelp("Events to publish per second.", valueName: "number"))
    var rate = 10.0

    @Option(name: .customLong("for"), help: ArgumentHelp("How long to measure.", valueName: "time"))
    var time = "10s"

    @Option(help: ArgumentHelp("How long to publish before measuring.", valueName: "time"))
    var warmUp = "1s"

    @Option(help: ArgumentHelp("Size of each event's data, at least 32.", valueName: "bytes"))
    var size = 100

    @Option(help: ArgumentHelp("Maximum concurrent publish requests.", valueName: "number"))
    var publishers = 4

    @Option(help: ArgumentHelp("Maximum streams being opened at once.", valueName: "number"))
    var connecting = 64

    @Flag(name: .customLong("http1"), help: "Use HTTP/1.1 only.")
    var isHTTP1 = false

    @Flag(help: "Print the figures as JSON, with times in microseconds.")
    var json = false

    func validate() throws {
        try RequestOptions.check(url)
        if !(1...1_000_000).contains(subscribers) { throw ValidationError("--subscribers must be 1 to 1000000.") }
        if !(rate > 0 && rate <= 1_000_000) { throw ValidationError("--rate must be more than 0 and at most 1000000.") }
        if !(32...(1 << 24)).contains(size) { throw ValidationError("--size must be 32 to 2^24 bytes.") }
        if !(1...1024).contains(publishers) { throw ValidationError("--publishers must be 1 to 1024.") }
        if !(1...4096).contains(connecting) { throw ValidationError("--connecting must be 1 to 4096.") }
        for (name, text) in [("--for", time), ("--warm-up", warmUp)] {
            guard let time = TimeText.duration(text), time <= .seconds(86_400) else {
                throw ValidationError("\(name) must be a time such as 250ms, 90s, 5m, at most 1d: \(text)")
            }
        }
    }

    func run() async throws {
        let run = BenchRun(
            // A token file is read once: the streams end with the token that opened them.
            route: try request.route(to: topicURL, authorization: try request.fileAuthorization()),
            isHTTP1: isHTTP1,
            subscribers: subscribers,
            rate: rate,
            time: TimeText.duration(time) ?? .seconds(10),
            warmUp: TimeText.duration(warmUp) ?? .seconds(1),
            size: size,
            publishers: publishers,
            connecting: connecting
        )
        let report: BenchReport
        do {
            report = try await run.run()
        } catch {
            StandardStreams.complain("plinth bench: \(error)")
            throw ExitCode(1)
        }
        for line in json ? [report.json] : report.lines { StandardStreams.say(line) }
        if !report.isClean { throw ExitCode(1) }
    }

    /// The given topic, or one with a random name on the given hub.
    private var topicURL: String {
        if url.contains("/topics/") { return url }
        let slash = url.hasSuffix("/") ? "" : "/"
        return "\(url)\(slash)topics/plinth-bench-\(String(UInt32.random(in: 0...UInt32.max), radix: 16))"
    }
}
#endif
