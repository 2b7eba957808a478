// SPDX-License-Identifier: Apache-2.0

#if Command && SQLite
import ArgumentParser
import PlinthSQLite

/// `plinth history check`: looks for damage.
struct HistoryCheck: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check every page and every row of a history's file.",
        discussion: """
            Try it:

              plinth history check hub.sqlite

            Prints what is damaged and where: the kind, the number, the topic; at most 20 problems of each kind, and how \
            many there are. Subscribers that read across damaged events get a gap; nothing damaged is ever replayed.

            It reads one snapshot, about a million events in a few seconds, and also works while a hub uses the file. \
            Until it ends, the hub's log (-wal) only grows: beside a busy hub, use plinth history copy --check.

            Exit status: 0 if the file is whole; 1 if it is damaged, or cannot be read; 64 for a usage error.
            """
    )

    @Argument(help: "The file.")
    var path: String

    @Flag(help: "Do not compare SQLite's own indexes with their tables; all rows are checked nevertheless.")
    var quick = false

    func validate() throws { try HistoryCommand.check(path, "path") }

    func run() async throws {
        let file = SQLiteHistoryFile(path: path)
        let isQuick = quick
        let report = try await HistoryRun(command: "check", activity: "checking").run { progress in
            try await file.check(isQuick: isQuick, progress: progress)
        }
        for line in report.lines(path) { StandardStreams.say(line) }
        if !report.isWhole { throw ExitCode(1) }
    }
}
#endif
