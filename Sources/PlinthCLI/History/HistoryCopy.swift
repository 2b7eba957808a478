// SPDX-License-Identifier: Apache-2.0

#if Command && SQLite
import ArgumentParser
import PlinthSQLite

/// `plinth history copy`: copies a file, also of a running hub.
struct HistoryCopy: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "copy",
        abstract: "Copy a history's file, also while a hub uses it: a backup.",
        discussion: """
            Try it:

              plinth history copy --check hub.sqlite backup.sqlite
              plinth serve --history backup.sqlite

            The copy is a snapshot with everything: events with their IDs, epochs, ended topics, producers, keys, limits \
            and revocations. Subscribers resume from it as from the original, and a hub that opens it begins an epoch, \
            so that it never gives an ID that the other hub gives. Do not copy the file of a running hub with cp: what is still in \
            its log (-wal) would be missing.

            The new file appears complete and synced, or not at all. A file of that name is not overwritten, unless it is \
            empty. A file that ends in -partial is left by a kill; the next copy to the same name removes it.

            Exit status: 0 if it was copied; 1 if not, or if --check found damage, which the original most likely has \
            too; 64 for a usage error.
            """
    )

    @Argument(help: "The file.")
    var source: String

    @Argument(help: "The new file.")
    var destination: String

    @Flag(help: "Check the new file as plinth history check does.")
    var check = false

    func validate() throws {
        try HistoryCommand.check(source, "source")
        try HistoryCommand.check(destination, "destination")
    }

    func run() async throws {
        let file = SQLiteHistoryFile(path: source)
        let (destination, isChecked) = (destination, check)
        let copy = try await HistoryRun(command: "copy", activity: "copying").run { progress in
            try await file.copy(to: destination, isChecked: isChecked, progress: progress)
        }
        let events = HistoryText.count(copy.events, "event")
        StandardStreams.say("copied \(events) to \(destination), \(HistoryText.bytes(copy.bytes))")
        guard let report = copy.report else { return }
        for line in report.lines(destination) { StandardStreams.say(line) }
        if !report.isWhole { throw ExitCode(1) }
    }
}
#endif
