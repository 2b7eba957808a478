// SPDX-License-Identifier: Apache-2.0

/// Measures one thing about a history in SQLite, or about what it is compared with, and prints one JSON object.
///
/// `run.py` calls it: one process for each figure, in rounds. `--help` lists the commands.
@main
struct SQLiteBenchmark {
    static let usage = """
        usage: SQLiteBenchmark COMMAND [--OPTION VALUE]...

        append   --store S --folder DIR [--publishers 1] [--batch 1] [--topics 1] [--seconds 2] [--events 4000000]
                 [--topic-events N]
                 appends until the time is over or there are that many events
        fill     --file F --events N [--topics 100] [--one N] [--prefix log/]
                 makes a file for the following; --one: as many events of the topic `one` between the others
        replay   --store sqlite|grdb --file F [--topic NAME] [--rounds 1]
                 reads the whole log, or one topic; each round with a history opened for it
        locate   --store memory|sqlite --events N [--file F] [--lookups 10000]
        topics   --store memory|sqlite --topics N [--file F]
                 opens a history with one event of each topic, then appends another of each
        version  the version of SQLite

        stores of append: memory, sqlite-full, sqlite-normal (SQLiteHistory), grdb-full, grdb-normal (the same inserts
        as an application would write them), grdb-full-blocking (without `await`)
        """

    static func main() async throws {
        var arguments = Array(CommandLine.arguments.dropFirst())
        guard let command = arguments.first, command != "--help" else { return print(usage) }
        arguments.removeFirst()
        // Off the main actor, as a server's publishers are.
        try await run(command, try Options(arguments))
    }

    @concurrent
    private static func run(_ command: String, _ options: Options) async throws {
        switch command {
        case "append": try await Appending(options).run()
        case "fill": try await Filling(options).run()
        case "replay": try await Replaying(options).run()
        case "locate": try await Locating(options).run()
        case "topics": try await Opening(options).run()
        case "version": try printVersion()
        default: throw Failure("there is no command \(command); see --help")
        }
    }
}
