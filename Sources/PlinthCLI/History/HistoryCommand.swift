// SPDX-License-Identifier: Apache-2.0

#if Command && SQLite
import ArgumentParser

/// `plinth history`: operates the file of a history.
struct HistoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",
        abstract: "Check, measure, copy and compact the file in which a hub keeps its history.",
        discussion: """
            Try it:

              plinth serve --history hub.sqlite
              plinth history stats hub.sqlite
              plinth history copy --check hub.sqlite backup.sqlite
              plinth history check backup.sqlite

            stats, check and copy never change the file, and work while a hub uses it. compact and new-epoch need the \
            hub stopped. What takes long shows its progress if standard error is a terminal; SIGINT and SIGTERM end \
            it, and leave nothing half-done.

            Exit status: 0 if it was done; 1 if not, or if damage was found; 64 for a usage error; 130 after SIGINT; \
            143 after SIGTERM.
            """,
        subcommands: [
            HistoryStats.self, HistoryCheck.self, HistoryCopy.self, HistoryCompact.self, HistoryNewEpoch.self,
        ]
    )

    /// Throws `ValidationError` for an empty path: a variable was empty.
    static func check(_ path: String, _ name: String) throws {
        if path.isEmpty { throw ValidationError("The \(name) is empty.") }
    }
}
#endif
