// SPDX-License-Identifier: Apache-2.0

#if Command && SQLite
import ArgumentParser
import PlinthHub
import PlinthSQLite

/// `plinth history new-epoch`: lets the IDs of a copy differ from now on.
struct HistoryNewEpoch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "new-epoch",
        abstract: "Begin an epoch, so that copies of a file never give the same ID twice; the hub must be stopped.",
        discussion: """
            Try it:

              plinth history new-epoch hub.sqlite

            An ID is an epoch's token and a number. A hub begins an epoch at each start, so that a restored backup or a \
            copied file needs nothing. Use this in the image of a machine that is started many times, and wherever you \
            want to see that it has happened. IDs given so far stay valid in all copies; one that another copy gives \
            from now on is unknown here, and a subscriber with it gets a gap. An epoch that has given no ID is replaced \
            by the next.

            Prints the new token.
            """
    )

    @Argument(help: "The file.")
    var path: String

    func validate() throws { try HistoryCommand.check(path, "path") }

    func run() async throws {
        let file = SQLiteHistoryFile(path: path)
        let run = HistoryRun(command: "new-epoch", activity: "opening")
        let epoch = try await run.run { _ in try await file.beginEpoch() }
        let token = String(decoding: epoch.token, as: UTF8.self)
        StandardStreams.say(token)
        run.complain(
            "the next event is number \(epoch.first), and IDs begin with \(token)- until a hub starts and begins "
                + "an epoch of its own; IDs given so far stay valid"
        )
    }
}
#endif
