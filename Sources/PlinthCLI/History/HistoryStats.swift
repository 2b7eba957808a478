// SPDX-License-Identifier: Apache-2.0

#if Command && SQLite
import ArgumentParser
import PlinthHub
import PlinthSQLite
import PlinthStreams

/// `plinth history stats`: tells what a file holds.
struct HistoryStats: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats",
        abstract: "Print what a history's file holds: events, topics, sizes, epochs, the largest topics.",
        discussion: """
            Try it:

              plinth history stats hub.sqlite
              plinth history stats --json hub.sqlite | jq .events

            Also works while a hub uses the file. Bytes of events are counted as limits count them: type, data, topics, \
            and 64 bytes for each. In JSON, times are in seconds since 1970.
            """
    )

    @Argument(help: "The file.")
    var path: String

    @Flag(help: "Print the figures as JSON.")
    var json = false

    func validate() throws { try HistoryCommand.check(path, "path") }

    func run() async throws {
        let file = SQLiteHistoryFile(path: path)
        let statistics = try await HistoryRun(command: "stats", activity: "counting").run { _ in
            try await file.statistics()
        }
        for line in json ? [statistics.json] : statistics.lines { StandardStreams.say(line) }
    }
}

extension SQLiteHistoryFile.Statistics {
    fileprivate var lines: [String] {
        func event(_ event: Event?) -> String {
            event.map { "\(HistoryText.time($0.published))  \($0.id)" } ?? "none"
        }
        let epoch = epochs.last.map { "\(String(decoding: $0.token, as: UTF8.self)) since number \($0.first)" }
        let free = HistoryText.bytes(freePages * pageSize)
        let lines = [
            "events      \(events) of \(HistoryText.count(topics, "topic")), \(HistoryText.bytes(bytes))",
            "oldest      \(event(oldest))",
            "newest      \(event(newest))",
            "ended       \(HistoryText.count(endedTopics, "topic"))",
            "producers   \(producers)",
            "keys        \(keys)",
            "limits      of \(HistoryText.count(limitedTopics, "topic"))",
            "epochs      \(epochs.count)" + (epoch.map { ", the last is \($0)" } ?? ""),
            "file        \(HistoryText.bytes(fileBytes)): \(HistoryText.count(pages, "page")) of \(pageSize) bytes, "
                + "\(freePages) of them free (\(free))",
            "log         \(HistoryText.bytes(logBytes))",
        ]
        guard !largestTopics.isEmpty else { return lines }
        let columns = largestTopics.map { (String($0.events), HistoryText.bytes($0.bytes), $0.topic.description) }
        let widths = (columns.map(\.0.count).max() ?? 0, columns.map(\.1.count).max() ?? 0)
        func padded(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: max(0, width - text.count)) + text
        }
        return lines + ["", "largest topics: events, bytes, name"]
            + columns.map { "  \(padded($0.0, widths.0))  \(padded($0.1, widths.1))  \($0.2)" }
    }

    fileprivate var json: String {
        func event(_ event: Event?) -> String {
            guard let event else { return "null" }
            let (seconds, attoseconds) = event.published.components
            let milliseconds = String(attoseconds / 1_000_000_000_000_000 + 1000).dropFirst()
            return "{\"id\":\(JSONString.quoted(event.id.description)),\"time\":\(seconds).\(milliseconds)}"
        }
        let epochs = epochs.map { epoch in
            "{\"token\":\(JSONString.quoted(String(decoding: epoch.token, as: UTF8.self))),\"first\":\(epoch.first),"
                + "\"last\":\(epoch.last.map(String.init) ?? "null")}"
        }
        let topics = largestTopics.map { topic in
            "{\"topic\":\(JSONString.quoted(topic.topic.description)),\"events\":\(topic.events),\"bytes\":\(topic.bytes)}"
        }
        return "{\"events\":\(events),\"bytes\":\(bytes),\"topics\":\(self.topics),\"endedTopics\":\(endedTopics),"
            + "\"producers\":\(producers),\"keys\":\(keys),\"limitedTopics\":\(limitedTopics),"
            + "\"oldest\":\(event(oldest)),\"newest\":\(event(newest)),\"fileBytes\":\(fileBytes),"
            + "\"logBytes\":\(logBytes),\"pageSize\":\(pageSize),\"pages\":\(pages),\"freePages\":\(freePages),"
            + "\"epochs\":[\(epochs.joined(separator: ","))],\"largestTopics\":[\(topics.joined(separator: ","))]}"
    }
}
#endif
