// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import PlinthHub

/// The two statements that run for every event, looked up once for a transaction.
struct InsertCommands {
    private let entry: Command
    private let place: Command

    init(_ db: Database) throws {
        entry = try Command("INSERT INTO plinth_entry VALUES (?, ?, ?, ?, ?, ?)", db)
        place = try Command("INSERT INTO plinth_place VALUES (?, ?, ?, ?)", db)
    }

    func insert(_ stored: StoredEntry) throws {
        entry.bind(1, stored.number)
        entry.bind(2, stored.time)
        entry.bind(3, stored.flags)
        entry.bind(4, stored.topics)
        entry.bind(5, stored.checksum)
        stored.lines.withUnsafeBytes { entry.bind(6, $0) }
        try entry.run()
    }

    func insertPlace(_ topic: Topic, _ number: UInt64, _ state: TopicState) throws {
        place.bind(1, topic.utf8)
        place.bind(2, number)
        place.bind(3, state.ordinal)
        place.bind(4, state.sum)
        try place.run()
    }
}
#endif
