// SPDX-License-Identifier: Apache-2.0

#if Command && Client

/// A hub that takes a producer's numbered events.
protocol NumberedHub {
    /// What the hub knows of the producer.
    func state(of producer: String) async throws -> ProducerState?

    /// Publishes a batch.
    ///
    /// - Returns: The ID of the last event.
    /// - Throws: ``HubPublisher/Failure``, whose `accepted` counts the events that the hub has, from the first.
    func publish(_ batch: EventLines.Batch, _ stamp: ProducerStamp) async throws -> String

    /// Ends the topic.
    func end(_ stamp: ProducerStamp) async throws -> HubPublisher.Published
}

/// Publishes numbered events, so that none is published twice, whenever the process is killed.
///
/// The numbers and source IDs of events are stored before the events are sent.
struct NumberedRun<Hub: NumberedHub> {
    private(set) var numbers: ProducerNumbers
    private let hub: Hub
    /// Writes the numbers durably; the previous ones stay if it throws.
    private let store: (ProducerNumbers) throws -> Void
    /// Receives messages for the user.
    private let note: (String) -> Void
    private let skipsReserved: Bool
    private var stored: ProducerNumbers?

    private(set) var acknowledged = 0
    /// Events of the source that an earlier run had published.
    private(set) var leftOut = 0
    private(set) var skipped = 0
    private(set) var lastID = ""
    /// The events that the last call has not dealt with.
    private(set) var rest = EventLines.Batch()

    init(
        _ numbers: ProducerNumbers,
        hub: Hub,
        skipsReserved: Bool,
        store: @escaping (ProducerNumbers) throws -> Void,
        note: @escaping (String) -> Void
    ) {
        self.numbers = numbers
        self.hub = hub
        self.skipsReserved = skipsReserved
        self.store = store
        self.note = note
    }

    /// Asks the hub which of the events under way it has taken.
    mutating func begin() async throws {
        let state = try await hub.state(of: numbers.producer)
        let notes = try numbers.begin(state)
        explain(notes)
        try save()
    }

    /// Publishes the events of a batch that the hub does not have.
    mutating func publish(_ batch: EventLines.Batch) async throws {
        rest = batch
        while !rest.events.isEmpty {
            switch numbers.step(rest.events) {
            case .leaveOut(let count):
                leftOut += count
                rest.removeFirst(count)
            case .send(let count, let stamp):
                try save()
                try await send(count, stamp)
            case .renew:
                try await renew()
            }
        }
        if let id = batch.lastID { numbers.pass(id) }
        try save()
    }

    /// Ends the topic.
    ///
    /// The end stays under way: a further run sends it again under its number, unless it has events to publish.
    ///
    /// - Returns: Whether it did; false if the source has not repeated the events under way.
    mutating func end() async throws -> Bool {
        while let stamp = numbers.end() {
            try save()
            do {
                let published = try await hub.end(stamp)
                if published.isRepeated { note("the topic had ended") }
                lastID = published.id
                return true
            } catch let failure as HubPublisher.Failure where failure.isUnknownProducer && stamp.sequence > 0 {
                try await renew()
            }
        }
        return false
    }

    private mutating func send(_ count: Int, _ stamp: ProducerStamp) async throws {
        do {
            lastID = try await hub.publish(rest.prefix(count), stamp)
            accept(count)
        } catch let failure as HubPublisher.Failure {
            accept(min(failure.accepted, count))
            if let id = failure.lastID { lastID = id }
            let isWhole = failure.accepted >= count
            if failure.isReserved, skipsReserved, !isWhole, let event = rest.events.first {
                note("line \(event.line): \(failure.reason); the event is skipped")
                skipped += 1
                numbers.skip()
                rest.removeFirst(1)
                // Its number is taken by no event, and may stand for no other.
                try await renew()
            } else if failure.isUnknownProducer, stamp.sequence > 0 {
                try await renew()
            } else if failure.accepted == 0 || !failure.isWorthRepeating {
                try save()
                throw failure
            }
        }
    }

    private mutating func accept(_ count: Int) {
        numbers.acknowledge(count)
        acknowledged += count
        rest.removeFirst(count)
    }

    private mutating func renew() async throws {
        let state = try await hub.state(of: numbers.producer)
        let notes = try numbers.renew(state)
        explain(notes)
        try save()
    }

    private mutating func save() throws {
        if let stored, numbers.isStored(as: stored) { return }
        try store(numbers)
        stored = numbers
    }

    private func explain(_ notes: [ProducerNumbers.Note]) {
        for note in notes { self.note(text(note)) }
    }

    private func text(_ note: ProducerNumbers.Note) -> String {
        let name = numbers.producer
        return switch note {
        case .unknownHere(let epoch):
            "the hub knows the producer \(name), and the resume file does not: beginning its epoch \(epoch), in which "
                + "events published earlier are not recognized"
        case .unknownThere(let count):
            "the hub has lost the state of the producer \(name): beginning its epoch \(numbers.epoch); "
                + (count == 0 ? "no event was under way" : "\(count) events under way may be published twice")
        case .takenWithoutID(let count):
            "the last run published \(count) more events, which have no ID and cannot be left out if the input repeats them"
        case .notRepeated(let count):
            "\(count) events were under way when an earlier run ended; the hub does not have them and the input does not "
                + "continue with them, so they are lost unless they come later: beginning the epoch \(numbers.epoch)"
        }
    }
}

extension HubPublisher.Failure {
    fileprivate var isUnknownProducer: Bool { code == "producer-unknown" }
}
#endif
