// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import PlinthHub

/// What is remembered besides events: ends, producers, keys, limits, revocations.
extension HistoryFileCheck {
    private static let changed = "its row is not as it was written"

    mutating func checkEnds() throws {
        _ = try tolerating("plinth_end") { check in
            try Command(
                """
                SELECT n.number, n.topic, n.subject, n.restricted, n.checksum, e.flags, e.topics FROM plinth_end AS n
                LEFT JOIN plinth_entry AS e ON e.number = n.number ORDER BY n.number
                """,
                check.db
            ).forEach { row in
                let number = row.unsigned(0)
                let topic = Topic(trusted: Array(row.bytes(1)))
                guard
                    row.unsigned(4)
                        == StoredEnd.checksum(number, row.bytes(1), row.bytes(2), row.number(3) != 0)
                else {
                    check.add(.end, Self.changed, at: number, of: topic)
                    return true
                }
                guard !check.damaged.contains(number) else { return true }
                let isEntry =
                    !row.isNull(5) && row.number(5) & StoredEntry.isEnd != 0
                    && StoredEntry.places(row.bytes(6))?.places.first?.topic == topic
                if isEntry {
                    check.report.endedTopics += 1
                } else {
                    check.add(.end, "it has no entry", at: number, of: topic)
                }
                return true
            }
        }
    }

    mutating func checkProducers() throws {
        _ = try tolerating("plinth_producer") { check in
            try Command("SELECT topic, subject, id, epoch, sequence, last, checksum FROM plinth_producer", check.db)
                .forEach { row in
                    try check.pass()
                    let (topic, id) = (Topic(trusted: Array(row.bytes(0))), Array(row.bytes(2)))
                    let numbers = (3...5).map { row.unsigned(Int32($0)) }
                    let name = String(decoding: id, as: UTF8.self)
                    if row.unsigned(6) != RowChecksum.of([topic.utf8, Array(row.bytes(1)), id], numbers) {
                        check.add(.producer, "\(name): \(Self.changed)", of: topic)
                    } else if numbers[2] > check.head {
                        check.add(
                            .producer,
                            "\(name): it has published event \(numbers[2]), which is missing",
                            of: topic
                        )
                    } else {
                        check.report.producers += 1
                    }
                    return true
                }
        }
    }

    mutating func checkKeys() throws {
        _ = try tolerating("plinth_key") { check in
            try Command(
                "SELECT subject, key, digest, count, repeated, position, time, checksum, id FROM plinth_key ORDER BY id",
                check.db
            ).forEach { row in
                try check.pass()
                let (key, numbers) = (Array(row.bytes(1)), (3...6).map { row.unsigned(Int32($0)) })
                let name = String(decoding: key, as: UTF8.self)
                let checksum = RowChecksum.of([Array(row.bytes(0)), key, Array(row.bytes(2))], numbers)
                if row.unsigned(7) != checksum {
                    check.add(.key, "\(name): \(Self.changed)")
                } else if numbers[2] > check.head {
                    check.add(.key, "\(name): its event \(numbers[2]) is missing")
                } else {
                    check.report.keys += 1
                }
                return true
            }
        }
    }

    mutating func checkLimits() throws {
        _ = try tolerating("plinth_limit") { check in
            try Command("SELECT topic, events, bytes, age FROM plinth_limit", check.db).forEach { row in
                let isPossible = (1...3).allSatisfy { row.number($0) >= 0 } && row.bytes(0).count > 0
                if !isPossible { check.add(.limit, "they are negative", of: Topic(trusted: Array(row.bytes(0)))) }
                return true
            }
        }
    }

    mutating func checkRevocations() throws {
        _ = try tolerating("plinth_revocation") { check in
            guard try Schema.hasRevocations(check.db) else { return }
            try StoredRevocation.forEach(check.db) { name, isIntact in
                try check.pass()
                if isIntact {
                    check.report.revocations += 1
                } else {
                    check.add(.revocation, "\(name): \(Self.changed)")
                }
            }
        }
    }
}
#endif
