// SPDX-License-Identifier: Apache-2.0

public import PlinthHub

/// The contract of `History`, as a suite that runs with any test framework.
///
/// ```swift
/// @Test(arguments: HistoryContract.all)
/// func keepsTheContract(rule: HistoryContract.Rule) async throws {
///     try await HistoryContract { try await MyHistory(log: .temporary()) }.check(rule)
/// }
/// ```
///
/// Each rule is a method that throws if the rule is broken, with what was observed. A rule about an ability that the
/// history lacks (see ``Abilities``) passes.
public struct HistoryContract: Sendable {
    /// The optional abilities of a history.
    public struct Abilities: Sendable {
        /// Whether publishers may choose the IDs of their events.
        ///
        /// Default: false.
        public var acceptsIDs = false

        /// Creates a history that holds roughly `events` events in total, no more than that per topic, and removes the
        /// oldest beyond that, at the latest in `History.expire()`.
        ///
        /// Default: nil, for a history that keeps everything.
        public var makeTrimming: (@Sendable (_ events: Int) async throws -> any History)?

        /// Adds events to a history from elsewhere, as if another node had published them.
        ///
        /// It may return before they have arrived.
        ///
        /// Default: nil, for a history that receives events from nowhere else.
        public var inject: (@Sendable (_ history: any History, _ events: [NewEvent]) async throws -> Void)?

        /// Makes the next append to a history fail, as if a disk were full or a connection lost.
        ///
        /// Default: nil, if a failure cannot be provoked.
        public var failNextAppend: (@Sendable (_ history: any History) async throws -> Void)?

        /// How long to wait for a delivery before it counts as missing.
        ///
        /// Default: 30 s.
        public var patience = Duration.seconds(30)

        /// Creates the minimum: no chosen IDs, no trimming, no events from elsewhere.
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

    /// Creates the contract for one kind of history.
    ///
    /// - Parameters:
    ///   - abilities: The history's optional abilities. Default: none.
    ///   - makeHistory: Creates an empty history that has not been opened, keeps at least 10,000 events, and is
    ///     independent of all others created.
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
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken or the history throws unexpectedly.
    public func check(_ rule: Rule) async throws {
        do {
            try await rule.body(self)
        } catch let violation as HistoryContractViolation {
            throw violation
        } catch let error as CancellationError where Task.isCancelled {
            throw error
        } catch {
            throw HistoryContractViolation(rule: rule.name, seen: "an unexpected error: \(error)")
        }
    }

    /// Checks all rules, continuing after a broken one.
    ///
    /// - Throws: A ``HistoryContractViolation`` that reports all broken rules.
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

    /// An open history under test.
    struct Subject {
        let history: any History
        let delivered: DeliveryRecorder
        /// Its position when it was opened.
        let start: Position
    }

    func open(_ history: (any History)? = nil) async throws -> Subject {
        let history = if let history { history } else { try await makeHistory() }
        let recorder = DeliveryRecorder()
        let start = try await history.open { recorder.deliver($0) }
        return Subject(history: history, delivered: recorder, start: start)
    }

    /// Appends as the hub does: without waiting if possible.
    func append(_ events: [NewEvent], to subject: Subject, rule: String = #function) async throws -> [EventID] {
        let now = try subject.history.appendNow(events)
        let ids = if let now { now } else { try await subject.history.append(events) }
        try expect(ids.count == events.count, "append returned \(ids.count) IDs for \(events.count) events", rule: rule)
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

    /// The position of an ID that the history has to locate.
    func position(of id: EventID, in subject: Subject, rule: String = #function) async throws -> Position {
        try unwrap(await subject.history.locate(id), "its own ID \(id) is not located", rule: rule)
    }

    func positions(of ids: [EventID], in subject: Subject, rule: String = #function) async throws -> [Position] {
        var positions: [Position] = []
        for id in ids { positions.append(try await position(of: id, in: subject, rule: rule)) }
        return positions
    }
}

extension ReadLimit {
    /// No limit.
    static let none = ReadLimit(events: .max, bytes: .max, work: .max)
}
