// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import PlinthHub

/// What the tables of a history hold, and where they do not fit each other.
struct TableCounts {
    var events: Int
    var bytes: Int
    var topics: Int
    var ends: Int
    /// What does not fit, with how many rows.
    var faults: [String: Int] = [:]

    init(_ db: Database) throws {
        func count(_ sql: String) throws -> Int { try Int.fetchOne(db, sql: "SELECT \(sql)") ?? 0 }
        events = try count("count(*) FROM plinth_entry WHERE flags & 2 = 0")
        bytes = try count("sum(length(topics) + length(lines) + 64) FROM plinth_entry")
        topics = try count("count(DISTINCT topic) FROM plinth_place")
        ends = try count("count(*) FROM plinth_end")
        let checks = [
            "blocks": """
            count(*) FROM plinth_block AS b WHERE rows <> (
                SELECT count(*) FROM plinth_entry WHERE number BETWEEN b.block * 256 AND b.block * 256 + 255
            ) OR bytes <> (
                SELECT coalesce(sum(length(topics) + length(lines) + 64), 0) FROM plinth_entry
                WHERE number BETWEEN b.block * 256 AND b.block * 256 + 255
            )
            """,
            "sizes of topics": """
            count(*) FROM plinth_topic AS t
            WHERE ordinal - removed_ordinal > (SELECT count(*) FROM plinth_place AS p WHERE p.topic = t.name)
                OR removed_sum > (SELECT max(sum) FROM plinth_place AS p WHERE p.topic = t.name)
            """,
            "topics without events": "count(*) FROM plinth_topic WHERE name NOT IN (SELECT topic FROM plinth_place)",
            "places without an event":
                "count(*) FROM plinth_place WHERE number NOT IN (SELECT number FROM plinth_entry)",
            "events without a place": """
            count(*) FROM plinth_entry WHERE flags & 2 = 0 AND number NOT IN (SELECT number FROM plinth_place)
            """,
            "ends without an entry": """
            count(*) FROM plinth_end WHERE number NOT IN (SELECT number FROM plinth_entry WHERE flags & 2 <> 0)
            """,
            "entries without an end": """
            count(*) FROM plinth_entry WHERE flags & 2 <> 0 AND number NOT IN (SELECT number FROM plinth_end)
            """,
        ]
        for (what, sql) in checks {
            let rows = try count(sql)
            if rows > 0 { faults[what] = rows }
        }
    }

    func isEqual(to statistics: HistoryStatistics) -> Bool {
        statistics.events == events && statistics.bytes == bytes && statistics.topics == topics
            && statistics.endedTopics == ends
    }
}
#endif
