// SPDX-License-Identifier: Apache-2.0

#if Command && SQLite
import ArgumentParser
import PlinthSQLite

/// `plinth history compact`: makes a file smaller.
struct HistoryCompact: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compact",
        abstract: "Give the space of removed events back to the system; the hub must be stopped.",
        discussion: """
            Try it:

              plinth history compact hub.sqlite
              plinth history compact --free-pages-only hub.sqlite

            A hub reuses the space of removed events, and never shrinks its file. compact writes the file anew: into a \
            file beside it, and from there back in one transaction. It needs twice the bytes in use on the same disk, \
            and changes nothing if there is not as much room.

            With --free-pages-only it cuts off pages that are wholly free, in small steps, for which there is room on a \
            disk that is nearly full. It gives back less: most pages stay partly in use if topics lose their events at \
            different times.

            Interrupted or killed, the file is as it was, or as after some of the steps. A file that ends in -rebuild is \
            left by a kill; the next compact removes it.
            """
    )

    @Argument(help: "The file.")
    var path: String

    @Flag(help: "Cut off free pages only; for a disk that is nearly full.")
    var freePagesOnly = false

    func validate() throws { try HistoryCommand.check(path, "path") }

    func run() async throws {
        let file = SQLiteHistoryFile(path: path)
        let freePagesOnly = freePagesOnly
        let sizes = try await HistoryRun(command: "compact", activity: "compacting").run { progress in
            try await file.compact(freePagesOnly: freePagesOnly, progress: progress)
        }
        let (before, after) = (HistoryText.bytes(sizes.bytesBefore), HistoryText.bytes(sizes.bytesAfter))
        StandardStreams.say("\(path) takes \(after); before, it took \(before)")
    }
}
#endif
