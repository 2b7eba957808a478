// SPDX-License-Identifier: Apache-2.0

#if Command && Server
import Logging
import PlinthHub

#if SQLite
import PlinthSQLite
#endif

/// The history of `plinth serve`, as its settings say.
struct ServeHistory {
    /// A history that cannot be opened.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private let history: any History

    /// - Throws: ``ServeSettings/Failure`` if a setting is invalid.
    init(_ settings: ServeSettings, _ logger: Logger) throws {
        let path = try settings.string("history") ?? "memory"
        let sync = try settings.choice("historySync", ["full", "normal"])
        guard path != "memory" else {
            guard sync == nil else {
                throw ServeSettings.Failure(description: "--history-sync requires --history with a file")
            }
            history = MemoryHistory(
                topic: try Self.topic(settings),
                total: try Self.total(settings, .defaultInTotal),
                quotas: try Self.quotas(settings)
            )
            return
        }
        #if SQLite
        var options = SQLiteHistoryOptions()
        options.sync = sync == "normal" ? .normal : .full
        options.topic = try Self.topic(settings)
        options.total = try Self.total(settings, HistoryLimits())
        // In a file the bytes are those of the file.
        options.total.bytes = .max
        if let bytes = try settings.integer("historyBytes", in: SQLiteHistoryOptions.minimumFileBytes...Int.max) {
            options.fileBytes = bytes
        }
        options.quotas = try Self.quotas(settings)
        options.logger = logger
        history = SQLiteHistory(path: path, options: options)
        #else
        throw ServeSettings.Failure(
            description: "--history: this program was built without SQLite; build it with the trait SQLite"
        )
        #endif
    }

    /// Runs a closure that opens the history.
    ///
    /// - Throws: ``Failure`` if it cannot be opened; other errors of the closure.
    func open<Result>(_ body: (any History) async throws -> Result) async throws -> Result {
        #if SQLite
        do {
            return try await body(history)
        } catch let error as SQLiteHistoryError {
            throw Failure(description: error.description)
        }
        #else
        return try await body(history)
        #endif
    }

    /// Keeps the revocations of subjects as long as the history: in its file, or until the process ends.
    var revocationStore: any RevocationStore {
        #if SQLite
        if let history = history as? SQLiteHistory { return SQLiteRevocationStore(history) }
        #endif
        return MemoryRevocationStore()
    }

    /// Closes a history that has a file.
    func close() async {
        #if SQLite
        await (history as? SQLiteHistory)?.close()
        #endif
    }

    // MARK: - Limits

    private static func topic(_ settings: ServeSettings) throws -> HistoryLimits {
        var topic = HistoryLimits.defaultOfTopic
        if let events = try settings.integer("topicEvents", in: 0...Int.max) { topic.events = events }
        if let bytes = try settings.integer("topicBytes", in: 0...Int.max) { topic.bytes = bytes }
        // Of each topic, so that a topic may have another.
        if let age = try settings.duration("historyAge") { topic.age = age }
        return topic
    }

    private static func total(_ settings: ServeSettings, _ usual: HistoryLimits) throws -> HistoryLimits {
        var total = usual
        if let events = try settings.integer("historyEvents", in: 0...Int.max) { total.events = events }
        if let bytes = try settings.integer("historyBytes", in: 0...Int.max) { total.bytes = bytes }
        return total
    }

    private static func quotas(_ settings: ServeSettings) throws -> HistoryQuotas {
        var quotas = HistoryQuotas()
        if let count = try settings.integer("maximumEndedTopics", in: 0...Int.max) { quotas.endedTopics = count }
        if let count = try settings.integer("maximumProducers", in: 0...Int.max) { quotas.producers = count }
        if let bytes = try settings.integer("maximumKeyBytes", in: 0...Int.max) { quotas.keyBytes = bytes }
        if let age = try settings.time("keyAge") { quotas.keyAge = age }
        return quotas
    }
}
#endif
