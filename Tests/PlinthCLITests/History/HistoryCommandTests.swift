// SPDX-License-Identifier: Apache-2.0

#if Command && SQLite
import Foundation
import PlinthHub
import PlinthSQLite
import PlinthTestSupport
import Testing

/// Runs `plinth history`.
@Suite("The command plinth history", .blocking)
struct HistoryCommandTests {
    private func history(_ arguments: String...) throws -> Tool.Result {
        try Tool.run(["history"] + arguments, input: "")
    }

    // MARK: - Check

    @Test("Check tells what a whole file holds")
    func whole() async throws {
        let folder = try HistoryFolder()
        try await folder.fill()
        let expected = "\(folder.hub) is whole: 10 events of 2 topics, 1 ended topic, 0 producers, 0 keys\n"
        #expect(try history("check", folder.hub) == .init(output: expected, errors: "", status: 0))
        #expect(try history("check", "--quick", folder.hub) == .init(output: expected, errors: "", status: 0))
    }

    @Test("Check lists what is damaged, with its place, and exits with status 1")
    func damaged() async throws {
        let folder = try HistoryFolder()
        try await folder.fill(events: 60)
        try folder.damage("UPDATE plinth_entry SET time = time + 1 WHERE number BETWEEN 11 AND 35")
        try folder.damage("DELETE FROM plinth_place WHERE number = 40")
        let result = try history("check", folder.hub)
        #expect(result.status == 1 && result.errors == "")
        let lines = result.output.split(separator: "\n")
        #expect(lines.first == "\(folder.hub) is damaged:")
        #expect(lines.contains("  entry 11: it is not as it was written"))
        #expect(
            lines.count { $0.hasPrefix("  entry 1") || $0.hasPrefix("  entry 2") || $0.hasPrefix("  entry 3") } == 20
        )
        #expect(lines.contains("  entry: and 5 more"))
        #expect(lines.contains("  place 42 of topic sport: events missing before it: 1"), "\(result.output)")
    }

    @Test("Terminal controls in a damaged name are replaced")
    func controls() async throws {
        let folder = try HistoryFolder()
        try await folder.fill()
        try folder.damage("UPDATE plinth_topic SET name = x'1b5b33316d' WHERE name = CAST('news' AS BLOB)")
        let result = try history("check", folder.hub)
        #expect(result.status == 1 && result.output.contains("topic ␛[31m") && !result.output.contains("\u{1B}"))
    }

    // MARK: - Stats

    @Test("Stats prints counts, times, sizes and the largest topics")
    func stats() async throws {
        let folder = try HistoryFolder()
        try await folder.fill(events: 11, size: 3000)
        let result = try history("stats", folder.hub)
        #expect(result.status == 0 && result.errors == "")
        let lines = result.output.split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") }
        #expect(lines[0].hasPrefix("events 11 of 2 topics, 3"), "\(lines)")
        let year = Calendar(identifier: .gregorian).component(.year, from: .now)
        #expect(lines[1].hasPrefix("oldest \(year)-") && lines[1].hasSuffix("-1"), "\(lines)")
        #expect(lines[2].hasPrefix("newest \(year)-") && lines[2].hasSuffix("-11"), "\(lines)")
        #expect(lines[3] == "ended 1 topic" && lines[4] == "producers 0" && lines[5] == "keys 0")
        #expect(lines[6] == "limits of 0 topics" && lines[7].hasPrefix("epochs 2, the last is "))
        #expect(lines[8].hasPrefix("file ") && lines[8].contains("pages of 4096 bytes, 0 of them free"))
        #expect(lines[9].hasPrefix("log 0 bytes"))
        #expect(lines[10] == "largest topics: events, bytes, name")
        #expect(lines[11].hasPrefix("6 ") && lines[11].hasSuffix(" KiB news"))
        #expect(lines[12].hasPrefix("5 ") && lines[12].hasSuffix(" KiB sport"))
    }

    @Test("Stats prints the same as JSON")
    func statsJSON() async throws {
        struct Figures: Decodable {
            struct Event: Decodable {
                var id: String
                var time: Double
            }
            struct Epoch: Decodable {
                var token: String
                var first: Int
                var last: Int?
            }
            struct Topic: Decodable {
                var topic: String
                var events: Int
                var bytes: Int
            }
            var events, bytes, topics, endedTopics, producers, keys, limitedTopics, fileBytes, logBytes, pageSize: Int
            var pages, freePages: Int
            var oldest, newest: Event?
            var epochs: [Epoch]
            var largestTopics: [Topic]
        }
        let folder = try HistoryFolder()
        try await folder.fill()
        let result = try history("stats", "--json", folder.hub)
        #expect(result.status == 0 && result.output.split(separator: "\n").count == 1)
        let figures = try JSONDecoder().decode(Figures.self, from: Data(result.output.utf8))
        #expect(figures.events == 10 && figures.topics == 2 && figures.endedTopics == 1 && figures.bytes > 640)
        #expect(figures.fileBytes == figures.pages * figures.pageSize && figures.freePages == 0)
        let current = try #require(figures.epochs.last)
        #expect(current.last == nil && figures.oldest?.id == "\(current.token)-1")
        #expect(abs((figures.newest?.time ?? 0) - Date.now.timeIntervalSince1970) < 3600)
        #expect(figures.largestTopics.map(\.topic).sorted() == ["news", "sport"])
        #expect(figures.largestTopics.allSatisfy { $0.events == 5 && $0.bytes > 320 })
    }

    // MARK: - Compact, epochs

    @Test("Compact makes the file smaller", arguments: [[], ["--free-pages-only"]])
    func compact(_ options: [String]) async throws {
        let folder = try HistoryFolder()
        try await folder.fill(events: 100, size: 20_000)
        try await folder.purge("sport")
        let before = try await SQLiteHistoryFile(path: folder.hub).statistics()
        let result = try Tool.run(["history", "compact"] + options + [folder.hub], input: "")
        #expect(result.status == 0 && result.errors == "")
        #expect(result.output.hasPrefix("\(folder.hub) takes 1.1 MiB; before, it took 2."), "\(result.output)")
        let after = try await SQLiteHistoryFile(path: folder.hub).statistics()
        #expect(after.freePages == 0 && after.fileBytes < before.fileBytes && after.events == before.events)
    }

    @Test("New-epoch prints the token, and explains it on standard error")
    func newEpoch() async throws {
        let folder = try HistoryFolder()
        try await folder.fill()
        let result = try history("new-epoch", folder.hub)
        #expect(result.status == 0)
        let token = String(result.output.dropLast())
        let epoch = try #require(try await SQLiteHistoryFile(path: folder.hub).statistics().epochs.last)
        #expect(String(decoding: epoch.token, as: UTF8.self) == token && epoch.first == 12)
        #expect(
            result.errors.hasPrefix(
                "plinth history new-epoch: the next event is number 12, and IDs begin with \(token)-"
            )
        )
    }

    // MARK: - Copy

    @Test("Copy copies, and with --check checks the new file")
    func copy() async throws {
        let folder = try HistoryFolder()
        try await folder.fill()
        let backup = folder.path("backup.sqlite")
        let result = try history("copy", "--check", folder.hub, backup)
        #expect(result.status == 0 && result.errors == "")
        let lines = result.output.split(separator: "\n")
        #expect(lines.count == 2 && lines[0].hasPrefix("copied 10 events to \(backup), "), "\(result.output)")
        #expect(lines[1].hasPrefix("\(backup) is whole: 10 events"))
        let again = try history("copy", folder.hub, backup)
        #expect(again.status == 1 && again.output == "")
        #expect(again.errors == "plinth history copy: \(backup) exists already; nothing was copied\n")
    }

    @Test("Copy --check exits with status 1 if the file is damaged, and keeps it")
    func copyDamaged() async throws {
        let folder = try HistoryFolder()
        try await folder.fill()
        try folder.damage("DELETE FROM plinth_entry WHERE number = 3")
        let backup = folder.path("backup.sqlite")
        let result = try history("copy", "--check", folder.hub, backup)
        #expect(result.status == 1)
        #expect(result.output.hasPrefix("copied ") && result.output.contains("\n\(backup) is damaged:\n"))
        #expect(FileManager.default.fileExists(atPath: backup))
    }

    #if Server
    @Test("Beside a running hub, stats, check and copy work, and the others say who has the file")
    func besideHub() async throws {
        let folder = try HistoryFolder()
        let hub = try HubProcess(["--history", folder.hub])
        for number in 1...5 {
            let curl = try await ChildProcess.run("curl", ["-sS", "-d", "\(number)", "\(hub.address)/topics/a"])
            #expect(curl.status == 0 && curl.output.contains("-\(number)\""), "\(curl)")
        }
        #expect(try history("stats", folder.hub).output.hasPrefix("events      5 of 1 topic, "))
        #expect(try history("check", folder.hub).output.contains("is whole: 5 events"))
        let backup = folder.path("backup.sqlite")
        #expect(try history("copy", "--check", folder.hub, backup).status == 0)
        for arguments in [["compact"], ["compact", "--free-pages-only"], ["new-epoch"]] {
            let result = try Tool.run(["history"] + arguments + [folder.hub], input: "")
            #expect(result.status == 1 && result.output == "")
            let reason = "plinth history \(arguments[0]): process \(hub.process.processIdentifier) uses this history"
            #expect(result.errors.hasPrefix(reason), "\(result.errors)")
        }
        // The copy serves what the original had, under the same IDs.
        let copy = try HubProcess(["--history", backup])
        var answers: [String] = []
        for address in [hub.address, copy.address] {
            let query = "\(address)/topics/a?wait=0&lastEventId=earliest"
            answers.append(try await ChildProcess.run("curl", ["-sS", query]).output)
        }
        #expect(answers[0] == answers[1] && answers[0].contains("\"data\":\"5\""), "\(answers)")
    }
    #endif

    // MARK: - Refusals

    private static let commands = [["check"], ["stats"], ["compact"], ["new-epoch"], ["copy"]]

    @Test("A file that does not exist is not created", arguments: commands)
    func absent(_ command: [String]) throws {
        let folder = try HistoryFolder()
        let rest = command == ["copy"] ? [folder.path("copy.sqlite")] : []
        let result = try Tool.run(["history"] + command + [folder.hub] + rest, input: "")
        #expect(
            result
                == .init(
                    output: "",
                    errors: "plinth history \(command[0]): there is no file \(folder.hub)\n",
                    status: 1
                )
        )
        #expect(folder.names == [])
    }

    @Test("A file of something else is refused", arguments: commands)
    func foreign(_ command: [String]) throws {
        let folder = try HistoryFolder()
        try Data(repeating: 0x41, count: 5000).write(to: URL(fileURLWithPath: folder.hub))
        let rest = command == ["copy"] ? [folder.path("copy.sqlite")] : []
        let result = try Tool.run(["history"] + command + [folder.hub] + rest, input: "")
        #expect(result.status == 1 && result.output == "")
        #expect(result.errors.contains("\(folder.hub) is not a database of SQLite"), "\(result.errors)")
        #expect(folder.names == ["hub.sqlite"])
    }

    @Test(
        "Wrong usage exits with status 64",
        arguments: [
            ["check"], ["check", ""], ["check", "a", "b"], ["check", "--json", "a"], ["stats"], ["stats", ""],
            ["compact"], ["compact", "--full", "a"], ["new-epoch"], ["copy", "a"], ["copy", "a", ""], ["vacuum", "a"],
        ]
    )
    func usage(_ arguments: [String]) throws {
        let result = try Tool.run(["history"] + arguments, input: "")
        #expect(result.status == 64 && result.output == "" && !result.errors.isEmpty, "\(result)")
    }

    @Test("The help of each command has an example")
    func help() throws {
        for command in Self.commands {
            let result = try Tool.run(["history"] + command + ["--help"], input: "")
            #expect(result.status == 0 && result.output.contains("plinth history \(command[0]) "), "\(command)")
        }
        let all = try history("--help").output
        for command in Self.commands { #expect(all.contains(command[0])) }
    }

    // MARK: - Terminals and signals

    #if os(Linux)
    @Test("The part that is done is shown if standard error is a terminal")
    func progress() async throws {
        let folder = try HistoryFolder()
        try await folder.fill()
        let tool = try Product.path("plinth")
        for (arguments, activity) in [
            ("check \(folder.hub)", "checking"), ("copy \(folder.hub) \(folder.path("copy.sqlite"))", "copying"),
            ("compact \(folder.hub)", "compacting"),
        ] {
            // Runs it in a terminal of its own.
            let command = "exec \(tool) history \(arguments) > /dev/null"
            let result = try await ChildProcess.run("script", ["-q", "-e", "-c", command, "/dev/null"])
            #expect(result.status == 0)
            let percentages = result.output.matches(of: /\r(\w+) ([0-9]+) %\e\[K/)
            #expect(!percentages.isEmpty && percentages.allSatisfy { $0.1 == activity }, "\(result)")
            #expect(result.output.hasSuffix("\r\u{1B}[K"), "\(result)")
        }
    }
    #endif

    @Test("SIGINT and SIGTERM leave nothing half-done", arguments: [SIGINT, SIGTERM])
    func signals(_ signal: CInt) async throws {
        let folder = try HistoryFolder()
        try await folder.fill(events: 40, size: 1_000_000)
        let whole = try history("check", folder.hub).output
        for (arguments, partial) in [
            (["copy", folder.hub, folder.path("copy.sqlite")], "copy.sqlite-partial"),
            (["compact", folder.hub], "hub.sqlite-rebuild"),
        ] {
            var interrupted = 0
            // The work may be done before the signal arrives.
            for _ in 0..<20 where interrupted == 0 {
                try? FileManager.default.removeItem(atPath: folder.path("copy.sqlite"))
                let process = try Tool.process(["history"] + arguments)
                let errors = Pipe()
                process.standardError = errors
                process.standardOutput = FileHandle.nullDevice
                try process.run()
                while !folder.names.contains(partial), process.isRunning { sched_yield() }
                kill(process.processIdentifier, signal)
                let said = String(decoding: errors.allOutput(), as: UTF8.self)
                process.waitUntilExit()
                #expect(process.terminationReason == .exit)
                if process.terminationStatus != 0 {
                    interrupted += 1
                    #expect(process.terminationStatus == 128 + signal)
                    #expect(said == "plinth history \(arguments[0]): interrupted; nothing is half-done\n")
                    #expect(!folder.names.contains("copy.sqlite"))
                }
                #expect(!folder.names.contains { $0.hasSuffix("-partial") || $0.hasSuffix("-rebuild") })
                #expect(try history("check", folder.hub).output == whole)
            }
            #expect(interrupted > 0)
        }
    }
}
#endif
