// SPDX-License-Identifier: Apache-2.0

public import PlinthHub

/// What every `History` has to do, as a suite that can be run with any test framework.
///
/// ```swift
/// @Test(arguments: HistoryContract.all)
/// func keepsTheContract(rule: HistoryContract.Rule) async throws {
///     try await HistoryContract { try await MyHistory(log: .temporary()) }.check(rule)
/// }
/// ```
///
/// Each rule is a method that throws if the rule is broken, and says what was seen. A rule about what a history cannot do
/// (see ``Abilities``) asks nothing of it.
public struct HistoryContract: Sendable {
    /// What a history can do beyond what all have to.
    public struct Abilities: Sendable {
        /// Whether publishers may choose the IDs of their events; not unless set.
        public var acceptsIDs = false

        /// Makes a history that holds roughly so many events in all, of every topic no more, and removes the oldest beyond
        /// that at the latest in `History.expire()`.
        ///
        /// Nil, unless set, for one that keeps everything.
        public var makeTrimming: (@Sendable (_ events: Int) async throws -> any History)?

        /// Has events come into a history from elsewhere, as if another node had published them.
        ///
        /// It may return before they have arrived. Nil, unless set, for one that has no elsewhere.
        public var inject: (@Sendable (_ history: any History, _ events: [NewEvent]) async throws -> Void)?

        /// Has the next append to a history fail, as if a disk were full or a connection lost.
        ///
        /// Nil, unless set, if that cannot be brought about.
        public var failNextAppend: (@Sendable (_ history: any History) async throws -> Void)?

        /// How long to wait for a delivery before it counts as missing; 30 s unless set.
        public var patience = Duration.seconds(30)

        /// The least: no chosen IDs, no trimming, no elsewhere.
        public init() {}
    }

    /// A rule of the contract.
    public struct Rule: Sendable, CustomStringConvertible {
        /// The name of its method.
        public let name: String
        fileprivate let body: @Sendable (HistoryContract) async throws -> Void

        fileprivate init(_ name: String, _ body: @escaping @Sendable (HistoryContract) async throws -> Void) {
            self.name = name
            self.body = body
        }

        /// The name.
        public var description: String { name }
    }

    /// All rules.
    public static let all: [Rule] = [
        Rule("appendReturnsIDsInOrder") { try await $0.appendReturnsIDsInOrder() },
        Rule("isInHistoryWhenAppendReturns") { try await $0.isInHistoryWhenAppendReturns() },
        Rule("isInHistoryWhenDelivered") { try await $0.isInHistoryWhenDelivered() },
        Rule("deliversOnceInOrder") { try await $0.deliversOnceInOrder() },
        Rule("deliversOnceInOrderWhenAppendsAreConcurrent") {
            try await $0.deliversOnceInOrderWhenAppendsAreConcurrent()
        },
        Rule("failedAppendLeavesNothing") { try await $0.failedAppendLeavesNothing() },
        Rule("deliversEventsFromElsewhere") { try await $0.deliversEventsFromElsewhere() },
        Rule("keepsEventsAsPublished") { try await $0.keepsEventsAsPublished() },
        Rule("keepsLargeEvents") { try await $0.keepsLargeEvents() },
        Rule("keepsChosenIDs") { try await $0.keepsChosenIDs() },
        Rule("locatesItsIDs") { try await $0.locatesItsIDs() },
        Rule("locatesIDsOfPositions") { try await $0.locatesIDsOfPositions() },
        Rule("locatesNoOtherIDs") { try await $0.locatesNoOtherIDs() },
        Rule("locatesIDsOfTrimmedEvents") { try await $0.locatesIDsOfTrimmedEvents() },
        Rule("readsOneTopic") { try await $0.readsOneTopic() },
        Rule("readsSeveralTopics") { try await $0.readsSeveralTopics() },
        Rule("readsPatterns") { try await $0.readsPatterns() },
        Rule("readsAll") { try await $0.readsAll() },
        Rule("readsWithinLimits") { try await $0.readsWithinLimits() },
        Rule("readsEventsOfSeveralTopicsOnce") { try await $0.readsEventsOfSeveralTopicsOnce() },
        Rule("readsRestrictedEventsWhereAllowed") { try await $0.readsRestrictedEventsWhereAllowed() },
        Rule("comparesTopicsByBytes") { try await $0.comparesTopicsByBytes() },
        Rule("readsWhileEventsCome") { try await $0.readsWhileEventsCome() },
        Rule("readsNothingBeyondItsHead") { try await $0.readsNothingBeyondItsHead() },
        Rule("answersTheSameWithoutWaiting") { try await $0.answersTheSameWithoutWaiting() },
        Rule("purgesTopics") { try await $0.purgesTopics() },
        Rule("saysWhatIsMissingAfterTrimming") { try await $0.saysWhatIsMissingAfterTrimming() },
        Rule("countsWhatItHolds") { try await $0.countsWhatItHolds() },
    ]

    let abilities: Abilities
    private let makeHistory: @Sendable () async throws -> any History

    /// The contract, for one kind of history.
    ///
    /// - Parameters:
    ///   - abilities: What it can do beyond what all have to; nothing unless given.
    ///   - makeHistory: Makes one that is empty, has not been opened, keeps at least 10,000 events, and knows nothing of any
    ///     other that was made.
    public init(
        abilities: Abilities = Abilities(),
        makeHistory: @escaping @Sendable () async throws -> any History
    ) {
        self.abilities = abilities
        self.makeHistory = makeHistory
    }

    /// Checks one rule.
    ///
    /// - Parameter rule: One of ``all``.
    /// - Throws: A ``HistoryContractViolation`` if it is broken, also if the history throws where it should not.
    public func check(_ rule: Rule) async throws {
        do {
            try await rule.body(self)
        } catch let violation as HistoryContractViolation {
            throw violation
        } catch let error as CancellationError where Task.isCancelled {
            throw error
        } catch {
            throw HistoryContractViolation(rule: rule.name, seen: "an error, \(error)")
        }
    }

    /// Checks all rules, also when one is found broken.
    ///
    /// - Throws: A ``HistoryContractViolation`` that tells of all that are.
    public func runAll() async throws {
        var violations: [HistoryContractViolation] = []
        for rule in Self.all {
            do {
                try await check(rule)
            } catch let violation as HistoryContractViolation {
                violations.append(violation)
            }
        }
        guard violations.count != 1 else { throw violations[0] }
        guard violations.isEmpty else {
            throw HistoryContractViolation(
                rule: violations.map(\.rule).joined(separator: ", "),
                seen: violations.map(\.description).joined(separator: "\n")
            )
        }
    }

    // MARK: - For the rules

    /// A history under test, open.
    struct Subject {
        let history: any History
        let delivered: DeliveryRecorder
        /// Where it began.
        let start: Position
    }

    func open(_ history: (any History)? = nil) async throws -> Subject {
        let history = if let history { history } else { try await makeHistory() }
        let recorder = DeliveryRecorder()
        let start = try await history.open { recorder.deliver($0) }
        return Subject(history: history, delivered: recorder, start: start)
    }

    /// Appends as the hub does: without waiting where that is possible.
    func append(_ events: [NewEvent], to subject: Subject, rule: String = #function) async throws -> [EventID] {
        let now = try subject.history.appendNow(events)
        let ids = if let now { now } else { try await subject.history.append(events) }
        try expect(ids.count == events.count, "\(ids.count) IDs for \(events.count) events", rule: rule)
        return ids
    }

    func expect(
        _ condition: Bool,
        _ seen: @autoclosure () -> String,
        rule: String = #function
    ) throws(HistoryContractViolation) {
        guard condition else { throw violation(rule, seen()) }
    }

    func unwrap<Value>(
        _ value: Value?,
        _ seen: @autoclosure () -> String,
        rule: String = #function
    ) throws(HistoryContractViolation) -> Value {
        guard let value else { throw violation(rule, seen()) }
        return value
    }

    func violation(_ rule: String, _ seen: String) -> HistoryContractViolation {
        HistoryContractViolation(rule: rule.hasSuffix("()") ? String(rule.dropLast(2)) : rule, seen: seen)
    }

    /// The position of an ID, which has to be known.
    func position(of id: EventID, in subject: Subject, rule: String = #function) async throws -> Position {
        try unwrap(await subject.history.locate(id), "its own ID \(id) is not found", rule: rule)
    }

    func positions(of ids: [EventID], in subject: Subject, rule: String = #function) async throws -> [Position] {
        var positions: [Position] = []
        for id in ids { positions.append(try await position(of: id, in: subject, rule: rule)) }
        return positions
    }
}

extension ReadLimit {
    /// As much as there is.
    static let none = ReadLimit(events: .max, bytes: .max, work: .max)
}
