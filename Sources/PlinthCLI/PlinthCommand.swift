// SPDX-License-Identifier: Apache-2.0

#if Command
import ArgumentParser

/// The `plinth` command-line tool.
@main
struct PlinthCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plinth",
        abstract: "Server-sent events on the command line.",
        subcommands: subcommands
    )

    static func main() async {
        StandardStreams.prepare()
        await main(nil)
    }

    private static var subcommands: [any ParsableCommand.Type] {
        var commands: [any ParsableCommand.Type] = []
        #if Server
        commands += [Serve.self]
        #endif
        #if Server && JWT
        commands += [Token.self]
        #endif
        #if SQLite
        commands += [HistoryCommand.self]
        #endif
        #if Client
        commands += [Listen.self, Wait.self, Publish.self, Bench.self]
        #endif
        return commands + [New.self, Decode.self, Encode.self]
    }
}
#else
/// A stub for builds without the package trait Command: prints an error and exits.
@main
enum PlinthCommand {
    static func main() {
        StandardStreams.complain(
            "plinth was built without the package trait Command; build it with that trait enabled."
        )
        StandardStreams.leave(with: 1)
    }
}
#endif
