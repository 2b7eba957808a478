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
        self.init(number: number, time: time, flags: flags, topics: writer.bytes, lines: lines)
    }

    /// Encodes an entry of one topic.
    init(number: UInt64, time: Int64, flags: Int64, topic: Topic, ordinal: UInt64, lines: ArraySlice<UInt8>) {
        var writer = ByteWriter(capacity: topic.utf8.count + 13)
        writer.write(1)
        writer.write(topic.utf8)
        writer.write(ordinal)
        self.init(number: number, time: time, flags: flags, topics: writer.bytes, lines: lines)
    }

    private init(number: UInt64, time: Int64, flags: Int64, topics: [UInt8], lines: ArraySlice<UInt8>) {
        self.number = number
        self.time = time
        self.flags = flags
        self.topics = topics
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

    /// The topic of an entry that has one; nil for others, and if the bytes are damaged.
    static func onlyPlace(_ bytes: UnsafeRawBufferPointer) -> (name: UnsafeRawBufferPointer, ordinal: UInt64)? {
        var reader = ByteReader(bytes)
        guard reader.number() == 1, let name = reader.string(), !name.isEmpty, let ordinal = reader.number(),
            reader.isAtEnd
        else { return nil }
        return (name, ordinal)
    }

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
    private var topics = SharedTopics()
    /// The topics of the row decoded last.
    private var lastPlaces: [StoredEntry.Place] = []
    /// The same for a row of one topic: nearly all.
    private var last: (topics: [Topic], ordinal: UInt64)?

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
        let (number, time, flags, column, lines) = (
            row.unsigned(0), row.number(1), row.number(2), row.bytes(3), row.bytes(5)
        )
        guard row.unsigned(4) == StoredEntry.checksum(number, time, flags, column, lines) else { return nil }
        let names: [Topic]
        var held = 1
        if let (name, ordinal) = StoredEntry.onlyPlace(column) {
            names = topics.topics(name)
            last = (names, ordinal)
        } else {
            guard let decoded = StoredEntry.places(column) else { return nil }
            lastPlaces = decoded.places
            last = nil
            names = lastPlaces.map(\.topic)
            held = decoded.held
        }
        return HistoryEntry(
            stored: lines,
            topics: names,
            held: held,
            isRestricted: flags & StoredEntry.isRestricted != 0,
            isEnd: flags & StoredEntry.isEnd != 0,
            position: Position(number),
            epochs: epochs,
            time: clock.monotonic(of: time)
        )
    }

    /// Whether the row decoded last is a topic's event with an ordinal.
    func lastIs(_ topic: Topic, _ ordinal: UInt64) -> Bool {
        if let last { return last.ordinal == ordinal && last.topics.first == topic }
        return lastPlaces.contains { $0.topic == topic && $0.ordinal == ordinal }
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
}

/// Topics by their names, each alone in an array that its entries share: a bounded cache, which allocates nothing for a
/// name that it has.
private struct SharedTopics {
    private static let size = 1024
    private var known: [[Topic]] = []

    mutating func topics(_ name: UnsafeRawBufferPointer) -> [Topic] {
        if known.isEmpty { known = Array(repeating: [], count: Self.size) }
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in name { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        let place = Int(truncatingIfNeeded: (hash ^ (hash >> 32)) % UInt64(Self.size))
        if let topic = known[place].first, topic.utf8.elementsEqual(name) { return known[place] }
        known[place] = [Topic(trusted: Array(name))]
        return known[place]
    }
}
#endif
