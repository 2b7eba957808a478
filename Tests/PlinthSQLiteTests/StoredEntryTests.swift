// SPDX-License-Identifier: Apache-2.0

#if SQLite
import PlinthHub
import PlinthTestSupport
import Testing

@testable import PlinthSQLite

@Suite("SQLite history: rows")
struct StoredEntryTests {
    private func entry(number: UInt64 = 7, lines: String = "event: a\ndata: text\n", topics: [String] = ["a", "b/c"])
        throws
        -> StoredEntry
    {
        let places = try topics.enumerated().map { StoredEntry.Place(topic: try Topic($1), ordinal: UInt64($0) * 1000) }
        return StoredEntry(
            number: number,
            time: 1_700_000_000_000_000_000,
            flags: 1,
            places: places,
            held: 1,
            lines: Array(lines.utf8)[...]
        )
    }

    private func checksum(_ entry: StoredEntry, topics: [UInt8], lines: [UInt8]) -> UInt64 {
        topics.withUnsafeBytes { topics in
            lines.withUnsafeBytes { StoredEntry.checksum(entry.number, entry.time, entry.flags, topics, $0) }
        }
    }

    @Test("Each flipped bit of a row changes its checksum", arguments: 0..<20)
    func flippedBits(_ length: Int) throws {
        let entry = try entry(lines: "data: \(String(repeating: "x", count: length))\n")
        #expect(checksum(entry, topics: entry.topics, lines: Array(entry.lines)) == entry.checksum)
        for bit in 0..<(entry.lines.count * 8) {
            var lines = Array(entry.lines)
            lines[bit / 8] ^= 1 << (bit % 8)
            #expect(checksum(entry, topics: entry.topics, lines: lines) != entry.checksum, "bit \(bit) of the lines")
        }
        for bit in 0..<(entry.topics.count * 8) {
            var topics = entry.topics
            topics[bit / 8] ^= 1 << (bit % 8)
            #expect(
                checksum(entry, topics: topics, lines: Array(entry.lines)) != entry.checksum,
                "bit \(bit) of the topics"
            )
        }
        for bit in 0..<64 {
            let other = try self.entry(
                number: 7 ^ (1 << bit),
                lines: "data: \(String(repeating: "x", count: length))\n"
            )
            #expect(other.checksum != entry.checksum, "bit \(bit) of the number")
        }
    }

    @Test("Bytes that move from one column to the next change the checksum")
    func movedBytes() throws {
        let entry = try entry()
        let all = entry.topics + Array(entry.lines)
        for end in 0...all.count where end != entry.topics.count {
            #expect(checksum(entry, topics: Array(all[..<end]), lines: Array(all[end...])) != entry.checksum)
        }
    }

    @Test("Topics and their ordinals are read as they were written", arguments: [1, 2, 127, 128, 300])
    func topics(_ count: Int) throws {
        let names = (0..<count).map { "topic/\($0)" }
        let entry = try entry(topics: names)
        let (places, held) = try #require(entry.topics.withUnsafeBytes { StoredEntry.places($0) })
        #expect(places.map(\.topic.name) == names)
        #expect(places.map(\.ordinal) == (0..<count).map { UInt64($0) * 1000 })
        #expect(held == 1)
    }

    @Test("Damaged topics are refused or read as something, and never crash")
    func damagedTopics() throws {
        let bytes = try entry().topics
        for end in bytes.indices { _ = bytes[..<end].withUnsafeBytes { StoredEntry.places($0) } }
        var random = SeededGenerator(seed: 1)
        for _ in 0..<20_000 {
            var damaged = bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                damaged[Int.random(in: damaged.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            if let (places, held) = damaged.withUnsafeBytes({ StoredEntry.places($0) }) {
                #expect((1...places.count).contains(held))
            }
        }
    }

    @Test("Numbers are read as they were written", arguments: [0, 1, 127, 128, 16_383, 16_384, 1 << 53, UInt64.max])
    func numbers(_ number: UInt64) {
        var writer = ByteWriter()
        writer.write(number)
        writer.bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            #expect(reader.number() == number)
            #expect(reader.isAtEnd)
            #expect(reader.number() == nil)
        }
    }

    @Test("Subjects are read as they were written")
    func subjects() {
        let subjects: [HubSubject?] = [
            nil, HubSubject(source: "jwt", issuer: "https://a.example", name: "u"),
            HubSubject(source: "key", name: "ü\0"),
            HubSubject(source: "", issuer: "", name: ""),
        ]
        for subject in subjects {
            let bytes = StoredSubject.encode(subject)
            #expect(bytes.withUnsafeBytes { StoredSubject.decode($0) } == subject)
        }
    }
}
#endif
