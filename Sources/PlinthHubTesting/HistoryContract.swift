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

        /// Creates a history with other quotas than usual.
        ///
        /// Default: nil, for a history whose quotas cannot be set.
        public var makeBounded: (@Sendable (_ quotas: HistoryQuotas) async throws -> any History)?

        /// Advances the time by which a history's events and keys age.
        ///
        /// Default: nil, if its time cannot be advanced.
        public var advance: (@Sendable (_ history: any History, _ time: Duration) async throws -> Void)?

        /// Opens what a history holds anew, as after a restart; the first one is not used any more.
        ///
        /// Default: nil, for a history that is lost with its process.
        public var reopen: (@Sendable (_ history: any History) async throws -> any History)?

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
        Rule("isDeliveredWhenAppendReturns") { try await $0.isDeliveredWhenAppendReturns() },
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
        Rule("readsVisibleEventsOnly") { try await $0.readsVisibleEventsOnly() },
        Rule("keepsTimes") { try await $0.keepsTimes() },
        Rule("endsTopics") { try await $0.endsTopics() },
        Rule("refusesEventsOfEndedTopics") { try await $0.refusesEventsOfEndedTopics() },
        Rule("endsTopicsOnce") { try await $0.endsTopicsOnce() },
        Rule("endsWithEventsOrNotAtAll") { try await $0.endsWithEventsOrNotAtAll() },
        Rule("namesEnds") { try await $0.namesEnds() },
        Rule("keepsEndsWhenTrimming") { try await $0.keepsEndsWhenTrimming() },
        Rule("opensPurgedTopicsAgain") { try await $0.opensPurgedTopicsAgain() },
        Rule("boundsEnds") { try await $0.boundsEnds() },
        Rule("takesNumbersOnce") { try await $0.takesNumbersOnce() },
        Rule("takesTheRestOfAKnownBatch") { try await $0.takesTheRestOfAKnownBatch() },
        Rule("refusesHoles") { try await $0.refusesHoles() },
        Rule("fencesOlderEpochs") { try await $0.fencesOlderEpochs() },
        Rule("keepsProducersApart") { try await $0.keepsProducersApart() },
        Rule("keepsProducersOfPurgedTopics") { try await $0.keepsProducersOfPurgedTopics() },
        Rule("numbersEnds") { try await $0.numbersEnds() },
        Rule("returnsProducers") { try await $0.returnsProducers() },
        Rule("checksInOrder") { try await $0.checksInOrder() },
        Rule("takesNumbersOnceWhenRequestsRace") { try await $0.takesNumbersOnceWhenRequestsRace() },
        Rule("forgetsNumbersOfFailures") { try await $0.forgetsNumbersOfFailures() },
        Rule("boundsProducers") { try await $0.boundsProducers() },
        Rule("answersKeysAgain") { try await $0.answersKeysAgain() },
        Rule("refusesReusedKeys") { try await $0.refusesReusedKeys() },
        Rule("keepsKeysApart") { try await $0.keepsKeysApart() },
        Rule("keepsNoFailures") { try await $0.keepsNoFailures() },
        Rule("takesKeysOnceWhenRequestsRace") { try await $0.takesKeysOnceWhenRequestsRace() },
        Rule("boundsKeys") { try await $0.boundsKeys() },
        Rule("forgetsOldKeys") { try await $0.forgetsOldKeys() },
        Rule("appliesLimitsOfTopics") { try await $0.appliesLimitsOfTopics() },
        Rule("appliesAgesOfTopics") { try await $0.appliesAgesOfTopics() },
        Rule("beginsAnEpochWhenOpenedAgain") { try await $0.beginsAnEpochWhenOpenedAgain() },
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
        let ids = try await append(AppendRequest(events), to: subject).ids
        try expect(ids.count == events.count, "append returned \(ids.count) IDs for \(events.count) events", rule: rule)
        return ids
    }

    /// Appends as the hub does: without waiting if possible.
    func append(_ request: AppendRequest, to subject: Subject) async throws -> AppendResult {
        let now = try subject.history.appendNow(request)
        if let now { return now }
        return try await subject.history.append(request)
    }

    /// Expects a request to be refused with a code.
    @discardableResult
    func expectRefusal(
        _ code: HistoryError.Code,
        of request: AppendRequest,
        by subject: Subject,
        _ what: String,
        rule: String = #function
    ) async throws -> HistoryError {
        let result: AppendResult
        do {
            result = try await append(request, to: subject)
        } catch let error as HistoryError {
            try expect(error.code == code, "\(what) was refused as \(error.code), not \(code)", rule: rule)
            return error
        }
        throw violation(rule, "\(what) was answered with \(result), not refused as \(code)")
    }

    /// All entries that a selection includes.
    func all(_ subject: Subject, _ selectors: TopicSelector...) async throws -> [HistoryEntry] {
        let selection = Selection(selectors.isEmpty ? [.all] : selectors)
        return try await subject.history.read(after: nil, selection: selection, limit: .none).entries
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
        try unwrap(await subject.history.locate(id).position, "its own ID \(id) is not located", rule: rule)
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
