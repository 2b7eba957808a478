// SPDX-License-Identifier: Apache-2.0

#if Command && SQLite
import Foundation
import GRDB
import PlinthEvents
import PlinthHub
import PlinthSQLite

/// A temporary folder with a history's file `hub.sqlite`, removed on deinit.
final class HistoryFolder {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("plinth-cli-\(UUID().uuidString)")

    var hub: String { path("hub.sqlite") }
    var names: [String] { (try? FileManager.default.contentsOfDirectory(atPath: url.path)) ?? [] }

    /// Creates the folder, without a file.
    init() throws {
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    func path(_ name: String) -> String { url.appendingPathComponent(name).path }

    /// Writes events of the topics `news` and `sport` in turn, and the end of `done`.
    ///
    /// - Parameters:
    ///   - events: Their number.
    ///   - size: The bytes of each event's data.
    /// - Throws: An error of the history.
    func fill(events: Int = 10, size: Int = 10) async throws {
        var options = SQLiteHistoryOptions()
        options.topic = HistoryLimits()
        options.sync = .normal
        let history = SQLiteHistory(path: hub, options: options)
        _ = try await history.open { _ in }
        let text = String(repeating: "x", count: size)
        for number in 1...events {
            let topic = try Topic(number % 2 == 1 ? "news" : "sport")
            _ = try await history.append(AppendRequest([NewEvent(ServerSentEvent(data: text), topics: [topic])]))
        }
        _ = try await history.append(AppendRequest([], ending: try Topic("done")))
        await history.close()
    }

    /// Removes the events of a topic.
    func purge(_ topic: String) async throws {
        let history = SQLiteHistory(path: hub)
        _ = try await history.open { _ in }
        _ = try await history.purge(try Topic(topic))
        await history.close()
    }

    /// Changes the file as no hub does.
    func damage(_ sql: String) throws {
        let queue = try DatabaseQueue(path: hub)
        defer { try? queue.close() }
        try queue.write { try $0.execute(sql: sql) }
    }
}
#endif
