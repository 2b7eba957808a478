// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Foundation
import GRDB
import PlinthHub
import PlinthSQLite
import Testing

/// What every tool refuses in the same way.
@Suite("SQLite history: refusals of the tools")
struct RefusalTests {
    enum Tool: String, CaseIterable, Sendable {
        case check, statistics, compact, cut, beginEpoch, copy

        /// Whether it needs the file for itself.
        var changes: Bool { self == .compact || self == .cut || self == .beginEpoch }

        func run(_ path: String) async throws {
            let file = SQLiteHistoryFile(path: path)
            switch self {
            case .check: _ = try await file.check()
            case .statistics: _ = try await file.statistics()
            case .compact: _ = try await file.compact()
            case .cut: _ = try await file.compact(freePagesOnly: true)
            case .beginEpoch: _ = try await file.beginEpoch()
            case .copy: _ = try await file.copy(to: path + "-copy")
            }
        }
    }

    private func fails(_ tool: Tool, _ path: String) async -> SQLiteHistoryError? {
        await #expect(throws: SQLiteHistoryError.self, "\(tool)") { try await tool.run(path) }
    }

    private func names(_ files: TemporaryFiles) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: files.directory)
    }

    @Test("A file that does not exist is not created", arguments: Tool.allCases)
    func absent(_ tool: Tool) async throws {
        let files = TemporaryFiles()
        let path = files.path()
        let error = await fails(tool, path)
        #expect(error?.code == .unusable && error?.description == "there is no file \(path)")
        #expect(try names(files).isEmpty)
        let directory = await fails(tool, files.directory)
        #expect(directory?.code == .unusable && directory?.description == "\(files.directory) is not a file")
    }

    @Test("A file of something else is refused, and left as it is", arguments: Tool.allCases)
    func foreign(_ tool: Tool) async throws {
        let files = TemporaryFiles()
        let text = files.path()
        try Data(repeating: 0x41, count: 5000).write(to: URL(fileURLWithPath: text))
        let short = files.path()
        try Data("SQLite format 3\0".utf8).write(to: URL(fileURLWithPath: short))
        let other = files.path()
        let queue = try DatabaseQueue(path: other)
        try await queue.write { try $0.execute(sql: "CREATE TABLE mine (id INTEGER)") }
        try queue.close()
        let before = try names(files).sorted()
        for path in [text, short, other] {
            let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            let error = await fails(tool, path)
            #expect(
                error?.code == .foreign && error?.description.contains(path) == true,
                "\(String(describing: error))"
            )
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == bytes)
        }
        #expect(try names(files).sorted() == before)
    }

    @Test("A file that no hub has used yet is refused, and left as it is", arguments: Tool.allCases)
    func empty(_ tool: Tool) async throws {
        let files = TemporaryFiles()
        let path = files.path()
        try Data().write(to: URL(fileURLWithPath: path))
        let error = await fails(tool, path)
        #expect(error?.code == .notMigrated)
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)).isEmpty)
    }

    @Test("A file of a later version is refused", arguments: Tool.allCases)
    func newer(_ tool: Tool) async throws {
        let sample = HistoryFileSample()
        try await sample.fill()
        try sample.change("UPDATE plinth_meta SET layout = 99")
        #expect(await fails(tool, sample.path)?.code == .newer)
        try sample.change("UPDATE plinth_meta SET layout = 1; INSERT INTO grdb_migrations VALUES ('plinth-99')")
        #expect(await fails(tool, sample.path)?.code == .newer)
    }

    @Test("An application's database can be checked and measured, but not changed or copied", arguments: Tool.allCases)
    func application(_ tool: Tool) async throws {
        let files = TemporaryFiles()
        let path = files.path()
        let pool = try DatabasePool(path: path)
        var migrator = DatabaseMigrator()
        SQLiteHistory.registerMigrations(in: &migrator)
        migrator.registerMigration("mine") { try $0.execute(sql: "CREATE TABLE mine (id INTEGER)") }
        try migrator.migrate(pool)
        if tool == .check || tool == .statistics {
            try await tool.run(path)
        } else {
            #expect(await fails(tool, path)?.code == .foreign)
        }
        try pool.close()
    }

    @Test("What changes a file waits for no hub, and says who has it", arguments: Tool.allCases.filter(\.changes))
    func locked(_ tool: Tool) async throws {
        let sample = HistoryFileSample()
        let history = sample.history()
        _ = try await history.open { _ in }
        _ = try await history.append(try HistoryFileSample.request("1", "a"))
        let error = await fails(tool, sample.path)
        #expect(error?.code == .locked)
        #expect(error?.description.contains("process \(getpid())") == true, "\(String(describing: error))")
        // The history is as it was.
        _ = try await history.append(try HistoryFileSample.request("2", "a"))
        await history.close()
        #expect(try await sample.file.check().events == 2)
    }

    @Test("A copy is measured and checked where nothing can be written beside it")
    func readOnlyDirectory() async throws {
        let sample = HistoryFileSample()
        try await sample.fill()
        let directory = sample.files.directory + "/copies"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let copy = directory + "/copy %41?#.sqlite"
        try await sample.file.copy(to: copy)
        try FileManager.default.removeItem(atPath: copy + "-lock")
        try FileManager.default.setAttributes([.posixPermissions: 0o500], ofItemAtPath: directory)
        defer { try? FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: directory) }
        // As root, permissions do not count; then this is an ordinary copy.
        #expect(try await SQLiteHistoryFile(path: copy).check().isWhole)
        #expect(try await SQLiteHistoryFile(path: copy).statistics().events == 530)
    }
}
#endif
