// SPDX-License-Identifier: Apache-2.0

/// The number of a producer's event, as a request sends it.
struct ProducerStamp: Hashable {
    /// The largest epoch and number that a hub accepts.
    static let maximumNumber: UInt64 = 1 << 53 - 1

    var producer: String
    var epoch: UInt64
    /// The number of the request's first event.
    var sequence: UInt64

    /// Parses a decimal number from 0 to ``maximumNumber``.
    static func number(_ text: String) -> UInt64? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return UInt64(text).flatMap { $0 <= maximumNumber ? $0 : nil }
    }
}

/// What a hub knows of a producer in a topic.
struct ProducerState: Hashable {
    var epoch: UInt64
    /// The number of the last event taken.
    var last: UInt64
}

/// A producer's numbers, without I/O: which event has which, and which events are in the hub.
///
/// An event gets a number before it is sent, together with its ID at the source. After a restart the source repeats the
/// events after ``mark``. Those that the hub has taken are left out by their IDs; the others keep their numbers, so that
/// the hub recognizes an event even if a request of the previous run arrives late.
///
/// Invariants:
/// - A number of an epoch never stands for a second event. If an event cannot keep its number, because the source does
///   not repeat it or the hub refuses it, a new epoch begins.
/// - The numbers of ``underWay`` are consecutive, and the last one precedes ``next``.
/// - All events before ``mark`` in the source are in the hub or given up; so are ``taken`` ones, wherever they are.
struct ProducerNumbers: Equatable {
    /// An event under way: it has a number, and the hub has not acknowledged it.
    struct Entry: Equatable {
        var sequence: UInt64
        /// The event's ID at the source; nil if it has none.
        var id: String?
        /// Whether it is the end of the topic.
        var isEnd = false

        /// Whether this is the event's ID, byte by byte: strings also compare equal if only their characters are.
        fileprivate func has(_ other: String) -> Bool { id.map { $0.utf8.elementsEqual(other.utf8) } ?? false }
    }

    /// What to do with the next events of the source.
    enum Step: Equatable {
        /// The first events are in the hub.
        case leaveOut(Int)
        /// Send the first events, with consecutive numbers from this one.
        case send(Int, ProducerStamp)
        /// Ask the hub for the producer's state, then call ``renew(_:)``.
        case renew
    }

    /// What the user should know.
    enum Note: Equatable {
        /// The hub knows the producer, but the file does not: earlier events cannot be left out.
        case unknownHere(epoch: UInt64)
        /// The hub has lost the producer's state; the events under way may be in the hub or not.
        case unknownThere(underWay: Int)
        /// Events without an ID were in the hub; the source must not repeat them.
        case takenWithoutID(Int)
        /// Events under way are not in the hub, and the source does not repeat them next.
        case notRepeated(Int)
    }

    struct Failure: Error, Equatable, CustomStringConvertible {
        /// Whether another process has begun a later epoch.
        let isFenced: Bool
        let description: String
    }

    /// Maximum events in a request: their numbers and IDs are written to a file first.
    static let maximumRequest = 1000
    /// Maximum events that may still have to be left out; more come only of runs that the source did not repeat.
    private static let maximumTaken = 10 * maximumRequest

    let producer: String
    private(set) var epoch: UInt64 = 0
    /// The number of the next event that has none.
    private(set) var next: UInt64 = 0
    /// The source ID to resume after; nil if there is none.
    private(set) var mark: String?
    private(set) var underWay: [Entry] = []
    /// The source IDs of events in the hub that the source may still repeat.
    private(set) var taken: [String] = []
    /// Whether the file knows the producer.
    private let isKnown: Bool
    /// The number of events, from the first of ``underWay``, that are in the current request.
    private var inRequest = 0
    /// Whether the next epoch begins because of a refused event: the source may continue with those under way.
    private var isAfterRefusal = false
    /// The events acknowledged since the start that the source had not given before.
    private var acknowledged = 0

    /// Creates the numbers of a producer without a file.
    ///
    /// - Parameters:
    ///   - producer: The producer's ID.
    ///   - mark: The source ID that an earlier run without numbers left.
    init(_ producer: String, mark: String? = nil) {
        self.producer = producer
        self.mark = mark
        isKnown = false
    }

    /// Restores the numbers that a file holds.
    init(
        _ producer: String,
        epoch: UInt64,
        next: UInt64,
        mark: String?,
        underWay: [Entry],
        taken: [String]
    ) {
        self.producer = producer
        self.epoch = epoch
        self.next = next
        self.mark = mark
        self.underWay = underWay
        self.taken = taken
        isKnown = true
    }

    /// Whether both have the same ``fileContent``.
    func isStored(as other: ProducerNumbers) -> Bool {
        epoch == other.epoch && next == other.next && mark == other.mark && underWay == other.underWay
            && taken == other.taken
    }

    // MARK: - Comparing with the hub

    /// Starts a run with the hub's state.
    mutating func begin(_ state: ProducerState?) throws(Failure) -> [Note] {
        guard isKnown else {
            guard let state else { return [] }
            epoch = state.epoch
            try startEpoch()
            return [.unknownHere(epoch: epoch)]
        }
        return try settle(state)
    }

    /// Gives up the numbers under way that the hub has not taken, and begins a new epoch for the events that follow.
    mutating func renew(_ state: ProducerState?) throws(Failure) -> [Note] {
        var notes = try settle(state)
        // Nothing is given up if a late request has brought all of them after all, or the hub's state was lost.
        guard !underWay.isEmpty || next >= Self.lastFirst else { return notes }
        let left = underWay.dropFirst(inRequest).count { !$0.isEnd }
        if left > 0, !isAfterRefusal { notes.append(.notRepeated(left)) }
        try startEpoch()
        return notes
    }

    /// Moves the events under way that the hub has to ``taken``; begins a new epoch if the hub's state was lost.
    private mutating func settle(_ state: ProducerState?) throws(Failure) -> [Note] {
        let first = underWay.first?.sequence ?? next
        var known = first
        if let state {
            if state.epoch > epoch {
                throw Failure(
                    isFenced: true,
                    description: "another process publishes as the producer \(producer), with the later epoch "
                        + "\(state.epoch); this one has \(epoch). Give each bridge a producer ID of its own."
                )
            }
            if state.epoch == epoch {
                guard state.last < next else {
                    throw Failure(
                        isFenced: false,
                        description: "the hub has taken event \(state.last) of the producer \(producer), and this one "
                            + "has sent no event after \(next == 0 ? "the start" : "\(next - 1)"). Another process "
                            + "publishes as that producer, or the resume file is an old copy; remove its second line "
                            + "and those below to begin a new epoch."
                    )
                }
                known = state.last + 1
            }
        }
        if known < first || state?.epoch != epoch && first > 0 {
            let count = underWay.count { !$0.isEnd }
            epoch = max(epoch, state?.epoch ?? 0)
            try startEpoch()
            return [.unknownThere(underWay: count)]
        }
        // An end stays: it is sent again under its number, which the hub answers as it did before.
        let gone = underWay.prefix(Int(known - first)).prefix { !$0.isEnd }
        let count = gone.count
        let named = gone.compactMap(\.id)
        taken = (taken + named).suffix(Self.maximumTaken)
        underWay.removeFirst(count)
        inRequest = max(0, inRequest - count)
        return named.count < gone.count ? [.takenWithoutID(gone.count - named.count)] : []
    }

    private mutating func startEpoch() throws(Failure) {
        guard epoch < ProducerStamp.maximumNumber else {
            throw Failure(
                isFenced: false,
                description: "the producer \(producer) has no epoch after \(epoch); choose another --producer"
            )
        }
        epoch += 1
        next = 0
        underWay = []
        inRequest = 0
        isAfterRefusal = false
    }

    // MARK: - Numbering

    /// The largest `next` with which a request may begin: all its numbers have to be valid.
    private static let lastFirst = ProducerStamp.maximumNumber - UInt64(maximumRequest)

    /// Decides about the next events of the source, and numbers those to be sent.
    ///
    /// Write ``fileContent`` before sending them.
    mutating func step(_ events: some Collection<EventLines.Batch.Event>) -> Step {
        // Sent again after a response that left its outcome open, or accepted a part.
        if inRequest > 0 { return .send(inRequest, stamp) }
        var count = 0
        for event in events {
            guard let id = event.ownID, let index = indexOfTaken(id) else { break }
            taken.remove(at: index)
            mark = id
            count += 1
        }
        if count > 0 { return .leaveOut(count) }
        guard next < Self.lastFirst || !underWay.isEmpty else { return .renew }
        for event in events.prefix(Self.maximumRequest) {
            if let id = event.ownID, indexOfTaken(id) != nil { break }
            if inRequest < underWay.count {
                let entry = underWay[inRequest]
                guard let id = event.ownID, entry.has(id), !entry.isEnd else { break }
            } else {
                guard next < ProducerStamp.maximumNumber else { break }
                underWay.append(Entry(sequence: next, id: event.ownID))
                next += 1
            }
            inRequest += 1
        }
        return inRequest > 0 ? .send(inRequest, stamp) : .renew
    }

    /// Numbers the end of the topic.
    ///
    /// - Returns: The number; nil if events are under way that the source has not repeated.
    mutating func end() -> ProducerStamp? {
        if underWay.isEmpty {
            underWay.append(Entry(sequence: next, isEnd: true))
            next += 1
        }
        guard underWay.count == 1, underWay[0].isEnd else { return nil }
        inRequest = 1
        return stamp
    }

    private func indexOfTaken(_ id: String) -> Int? { taken.firstIndex { $0.utf8.elementsEqual(id.utf8) } }

    private var stamp: ProducerStamp {
        ProducerStamp(producer: producer, epoch: epoch, sequence: underWay.first?.sequence ?? next)
    }

    // MARK: - Results

    /// Records that the hub has the first events of the request.
    mutating func acknowledge(_ count: Int) {
        let count = min(max(count, 0), inRequest)
        if let id = underWay.prefix(count).last(where: { $0.id != nil })?.id { mark = id }
        underWay.removeFirst(count)
        inRequest -= count
        acknowledged += count
        // The source is past them: it repeats events in order.
        if acknowledged > Self.maximumRequest { taken = [] }
    }

    /// Records that the hub refuses the first event of the request for good; call ``renew(_:)`` next.
    mutating func skip() {
        isAfterRefusal = true
        if let id = underWay.first?.id { mark = id }
    }

    /// Records the last ID of lines that are all published, left out or skipped.
    mutating func pass(_ id: String) { mark = id }
}
