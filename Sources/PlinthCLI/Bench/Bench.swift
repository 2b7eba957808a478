// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import ArgumentParser

/// `plinth bench`: what a hub does with so many subscribers.
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Hold subscribers, publish at a rate, and report latency, losses and order.",
        discussion: """
            Try it, with a hub of your own:

              plinth serve --log-level error &
              plinth bench --subscribers 1000 --rate 10 --for 20s http://localhost:8080

            The URL is that of a hub, where a topic of a random name is used, or that of a topic. Each event is published \
            by a request of its own, and its latency is the time from the beginning of that to the event's arrival at a \
            subscriber: of all subscribers, since a hub sends to one after the other. Publishing keeps its times, \
            however long answers take, with as many requests under way as --publishers.

            With https:// subscribers share connections if the server speaks HTTP/2, a hundred streams each at most; \
            --http1 for a connection each. The load takes processor time as well: on one machine with the hub, both \
            share it, and a machine of its own tells more. Each connection takes a descriptor (see ulimit -n).

            Exit status: 0 if nothing was lost, duplicated or out of order; 1 otherwise; 64 for a mistake on the \
            command line.
            """
    )

    @Argument(help: "The URL of a hub, or of one of its topics.")
    var url: String

    @OptionGroup var request: RequestOptions

    @Option(name: .shortAndLong, help: ArgumentHelp("Streams to hold.", valueName: "number"))
    var subscribers = 100

    @Option(name: .shortAndLong, help: ArgumentHelp("Events a second.", valueName: "number"))
    var rate = 10.0

    @Option(name: .customLong("for"), help: ArgumentHelp("How long to measure.", valueName: "time"))
    var time = "10s"

    @Option(help: ArgumentHelp("How long to publish before measuring.", valueName: "time"))
    var warmUp = "1s"

    @Option(help: ArgumentHelp("Bytes of an event's data, at least 32.", valueName: "bytes"))
    var size = 100

    @Option(help: ArgumentHelp("Requests under way at once to publish.", valueName: "number"))
    var publishers = 4

    @Option(help: ArgumentHelp("Streams that are being opened at once.", valueName: "number"))
    var connecting = 64

    @Flag(name: .customLong("http1"), help: "Do not speak HTTP/2.")
    var isHTTP1 = false

    @Flag(help: "Print the figures as JSON, times in microseconds.")
    var json = false

    func validate() throws {
        try RequestOptions.check(url)
        if !(1...1_000_000).contains(subscribers) { throw ValidationError("--subscribers is 1 to 1000000.") }
        if !(rate > 0 && rate <= 1_000_000) { throw ValidationError("--rate is more than 0, and at most 1000000.") }
        if !(32...(1 << 24)).contains(size) { throw ValidationError("--size is 32 to 2^24 bytes.") }
        if !(1...1024).contains(publishers) { throw ValidationError("--publishers is 1 to 1024.") }
        if !(1...4096).contains(connecting) { throw ValidationError("--connecting is 1 to 4096.") }
        for (name, text) in [("--for", time), ("--warm-up", warmUp)] {
            guard let time = TimeText.duration(text), time <= .seconds(86_400) else {
                throw ValidationError("\(name) is no time such as 250ms, 90s, 5m, and no more than 1d: \(text)")
            }
        }
    }

    func run() async throws {
        let run = BenchRun(
            route: try request.route(to: topicURL),
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

    /// The topic that is named, or one of the hub that nobody else has.
    private var topicURL: String {
        if url.contains("/topics/") { return url }
        let slash = url.hasSuffix("/") ? "" : "/"
        return "\(url)\(slash)topics/plinth-bench-\(String(UInt32.random(in: 0...UInt32.max), radix: 16))"
    }
}
#endif
