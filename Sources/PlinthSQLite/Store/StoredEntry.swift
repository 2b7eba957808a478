// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import PlinthHub
import PlinthStreams

/// An entry as a row of `plinth_entry`.
struct StoredEntry {
    /// A topic that an entry was published to.
    struct Place {
        let topic: Topic
        /// Its ordinal in the topic; 0 for an end, which has none.
        let ordinal: UInt64
    }

    let number: UInt64
    /// In nanoseconds since 1970.
    let time: Int64
    let flags: Int64
    let topics: [UInt8]
    let lines: ArraySlice<UInt8>
    let checksum: UInt64

    static let isRestricted: Int64 = 1
    static let isEnd: Int64 = 2

    /// Encodes an entry.
    ///
    /// - Parameters:
    ///   - number: Its number.
    ///   - time: When it was published, in nanoseconds since 1970.
    ///   - flags: ``isRestricted`` and ``isEnd``.
    ///   - places: Its topics; first those that still have it.
    ///   - held: How many still have it.
    ///   - lines: The event's bytes without its ID.
    init(number: UInt64, time: Int64, flags: Int64, places: [Place], held: Int, lines: ArraySlice<UInt8>) {
        var writer = ByteWriter()
        writer.write(UInt64(held))
        for place in places {
            writer.write(place.topic.utf8)
            writer.write(place.ordinal)
        }
        self.number = number
        self.time = time
        self.flags = flags
        topics = writer.bytes
        self.lines = lines
        checksum = topics.withUnsafeBytes { topics in
            lines.withUnsafeBytes { Self.checksum(number, time, flags, topics, $0) }
        }
    }

    static func checksum(
        _ number: UInt64,
        _ time: Int64,
        _ flags: Int64,
        _ topics: UnsafeRawBufferPointer,
        _ lines: UnsafeRawBufferPointer
    ) -> UInt64 {
        var checksum = RowChecksum()
        checksum.add(number)
        checksum.add(UInt64(bitPattern: time))
        checksum.add(UInt64(bitPattern: flags))
        checksum.add(topics)
        checksum.add(lines)
        return checksum.value
    }

    /// The bytes that an entry counts for limits: its strings, and about what SQLite needs besides.
    var weight: Int { Self.weight(topics: topics.count, lines: lines.count) }

    static func weight(topics: Int, lines: Int) -> Int { topics + lines + 64 }

    /// Decodes topics; nil if the bytes are damaged.
    static func places(_ bytes: UnsafeRawBufferPointer) -> (places: [Place], held: Int)? {
        var reader = ByteReader(bytes)
        guard let held = reader.number() else { return nil }
        var places: [Place] = []
        while !reader.isAtEnd {
            guard let name = reader.string(), let ordinal = reader.number(), !name.isEmpty else { return nil }
            places.append(Place(topic: Topic(trusted: Array(name)), ordinal: ordinal))
        }
        guard !places.isEmpty, places.count <= Int(UInt16.max), (1...UInt64(places.count)).contains(held) else {
            return nil
        }
        return (places, Int(held))
    }
}

/// Reads rows of `plinth_entry`: columns number, time, flags, topics, checksum, lines.
struct EntryDecoder {
    static let columns = "e.number, e.time, e.flags, e.topics, e.checksum, e.lines"

    /// What turns stored times into those of this process.
    private let clock: StoreClock.Reading
    private let epochs: HistoryEpochs
    /// The topics of the rows read, so that entries of one topic share them.
    private var known: [[UInt8]: [Topic]] = [:]
    private var lastColumn: [UInt8] = []
    private var lastTopics: [Topic] = []
    private(set) var lastPlaces: [StoredEntry.Place] = []

    init(_ epochs: HistoryEpochs, _ clock: StoreClock.Reading) {
        self.epochs = epochs
        self.clock = clock
    }

    /// Whether a row is as it was written.
    static func isIntact(_ row: Command.Row) -> Bool {
        row.unsigned(4)
            == StoredEntry.checksum(
                row.unsigned(0),
                row.number(1),
                row.number(2),
                row.bytes(3),
                row.bytes(5)
            )
    }

    /// Decodes a row; nil if it is damaged.
    mutating func decode(_ row: Command.Row) -> HistoryEntry? {
        guard Self.isIntact(row), let (places, held) = StoredEntry.places(row.bytes(3)) else { return nil }
        lastPlaces = places
        let flags = row.number(2)
        let topics = shared(places)
        let event = NewEvent(
            stored: row.bytes(5),
            topics: topics,
            isRestricted: flags & StoredEntry.isRestricted != 0,
            isEnd: flags & StoredEntry.isEnd != 0
        )
        let position = Position(row.unsigned(0))
        return HistoryEntry(
            event,
            topics: topics,
            position: position,
            id: epochs.id(at: position),
            time: clock.monotonic(of: row.number(1)),
            held: held
        )
    }

    /// Reads all entries after a number; damaged ones are left out.
    mutating func entries(after number: UInt64, _ db: Database) throws -> [HistoryEntry] {
        var entries: [HistoryEntry] = []
        try Command("SELECT \(Self.columns) FROM plinth_entry AS e WHERE number > ? ORDER BY number", db)
            .bind(.number(number)).forEach { row in
                if let entry = decode(row) { entries.append(entry) }
                return true
            }
        return entries
    }

    private mutating func shared(_ places: [StoredEntry.Place]) -> [Topic] {
        guard places.count == 1, let topic = places.first?.topic else { return places.map(\.topic) }
        if lastTopics.first == topic { return lastTopics }
        if let topics = known[topic.utf8] {
            lastTopics = topics
        } else {
            lastTopics = [topic]
            known[topic.utf8] = lastTopics
        }
        return lastTopics
    }
}
#endif
