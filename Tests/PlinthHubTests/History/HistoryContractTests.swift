// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import PlinthHubTesting
import Synchronization
import Testing

@testable import PlinthHub

@Suite("History contract")
struct HistoryContractTests {
    private static func limits(_ events: Int) -> HistoryLimits { HistoryLimits(events: events) }

    private static func memory(acceptsIDs: Bool) -> HistoryContract {
        var abilities = HistoryContract.Abilities()
        abilities.acceptsIDs = acceptsIDs
        abilities.makeTrimming = { MemoryHistory(total: limits($0), acceptsIDs: acceptsIDs) }
        return HistoryContract(abilities: abilities) { MemoryHistory(acceptsIDs: acceptsIDs) }
    }

    @Test("A memory history keeps the contract", arguments: HistoryContract.all)
    func memory(rule: HistoryContract.Rule) async throws {
        try await Self.memory(acceptsIDs: false).check(rule)
    }

    @Test("A memory history that accepts chosen IDs keeps the contract", arguments: HistoryContract.all)
    func choosing(rule: HistoryContract.Rule) async throws {
        try await Self.memory(acceptsIDs: true).check(rule)
    }

    @Test("A memory history that trims by topic keeps the contract")
    func byTopic() async throws {
        var abilities = HistoryContract.Abilities()
        abilities.makeTrimming = { MemoryHistory(topic: Self.limits($0 / 4), total: Self.limits($0)) }
        try await HistoryContract(abilities: abilities) { MemoryHistory() }.runAll()
    }

    @Test("A history that answers later keeps the contract", arguments: HistoryContract.all)
    func later(rule: HistoryContract.Rule) async throws {
        var abilities = HistoryContract.Abilities()
        abilities.makeTrimming = { YieldingHistory(MemoryHistory(total: Self.limits($0))) }
        abilities.failNextAppend = { ($0 as? YieldingHistory)?.failNextAppend() }
        abilities.inject = { history, events in
            let memory = try #require((history as? YieldingHistory)?.memory)
            _ = try memory.appendNow(events)
        }
        try await HistoryContract(abilities: abilities) { YieldingHistory(MemoryHistory()) }.check(rule)
    }

    @Test("A faulty history is detected by the rule that it breaks", arguments: FaultyHistory.Fault.allCases)
    func faulty(fault: FaultyHistory.Fault) async throws {
        var abilities = HistoryContract.Abilities()
        abilities.patience = .milliseconds(20)
        abilities.makeTrimming = { FaultyHistory(fault, MemoryHistory(total: Self.limits($0))) }
        if fault == .forgetsFailures {
            abilities.failNextAppend = { _ in }
        }
        if fault == .losesInjected { abilities.inject = { _, _ in } }
        abilities.acceptsIDs = fault == .ignoresChosenIDs
        let contract = HistoryContract(abilities: abilities) { [acceptsIDs = abilities.acceptsIDs] in
            FaultyHistory(fault, MemoryHistory(acceptsIDs: acceptsIDs))
        }
        let rule = try #require(HistoryContract.all.first { $0.name == fault.rule })
        let error = await #expect(throws: HistoryContractViolation.self, "\(fault)") { try await contract.check(rule) }
        #expect(error?.rule == fault.rule)
        #expect(error?.seen.isEmpty == false)
    }

    @Test("All broken rules, and no others, are reported together")
    func several() async throws {
        let contract = HistoryContract { FaultyHistory(.normalises, MemoryHistory()) }
        let error = await #expect(throws: HistoryContractViolation.self) { try await contract.runAll() }
        #expect(error?.rule == "comparesTopicsByBytes")
        let other = HistoryContract { FaultyHistory(.countsWrong, FaultyHistory.full) }
        let errors = await #expect(throws: HistoryContractViolation.self) { try await other.runAll() }
        #expect(errors?.rule.contains("countsWhatItHolds") == true)
        #expect(errors?.rule.contains("readsOneTopic") == true, "\(errors?.rule ?? "")")
        #expect(errors?.rule.contains("locatesNoOtherIDs") == false)
    }

    @Test("An error of the history is reported as a broken rule")
    func errors() async throws {
        let contract = HistoryContract { throw YieldingHistory.Failure() }
        let rule = try #require(HistoryContract.all.first)
        let error = await #expect(throws: HistoryContractViolation.self) { try await contract.check(rule) }
        #expect(error?.rule == "appendReturnsIDsInOrder")
        #expect(error?.seen.contains("Failure") == true)
    }
}

/// A history that does one thing wrong.
final class FaultyHistory: History {
    enum Fault: String, Sendable, CaseIterable {
        case returnsIDsBackwards, returnsOneID, deliversNothing, deliversTwice, deliversBackwards
        case keepsPartOfABatch, forgetsFailures, losesInjected, ignoresChosenIDs
        case locatesAnything, locatesNothing, locatesFuture, losesFirst, losesLast, looksTooFar, neverAdvances
        case ignoresLimits, ignoresRestriction, normalises, silentTrim, silentPurge, alwaysMissing
        case readsInclusively, differsWithoutWaiting, countsWrong, asksBackInAppend

        /// A rule that the fault breaks.
        var rule: String {
            switch self {
            case .returnsIDsBackwards, .returnsOneID: "appendReturnsIDsInOrder"
            case .deliversNothing, .deliversTwice, .deliversBackwards: "deliversOnceInOrder"
            case .keepsPartOfABatch, .forgetsFailures: "failedAppendLeavesNothing"
            case .losesInjected: "deliversEventsFromElsewhere"
            case .ignoresChosenIDs: "keepsChosenIDs"
            case .locatesAnything, .locatesFuture: "locatesNoOtherIDs"
            case .locatesNothing: "locatesItsIDs"
            case .losesFirst, .losesLast, .neverAdvances: "readsOneTopic"
            case .looksTooFar, .ignoresLimits: "readsWithinLimits"
            case .ignoresRestriction: "readsRestrictedEventsWhereAllowed"
            case .normalises: "comparesTopicsByBytes"
            case .silentTrim: "saysWhatIsMissingAfterTrimming"
            case .silentPurge: "purgesTopics"
            case .alwaysMissing, .readsInclusively: "readsNothingBeyondItsHead"
            case .differsWithoutWaiting: "answersTheSameWithoutWaiting"
            case .countsWrong: "countsWhatItHolds"
            case .asksBackInAppend: "isInHistoryWhenAppendReturns"
            }
        }
    }

    /// A history that holds too few events.
    static var full: MemoryHistory { MemoryHistory(total: HistoryLimits(events: 20)) }

    let fault: Fault
    let memory: MemoryHistory
    /// Events that were accepted and are not in history yet.
    private let late = Mutex<[NewEvent]>([])

    init(_ fault: Fault, _ memory: MemoryHistory) {
        self.fault = fault
        self.memory = memory
    }

    func open(deliver: @escaping @Sendable ([HistoryEntry]) -> Void) async throws -> Position {
        let fault = self.fault
        return try await memory.open { entries in
            switch fault {
            case .deliversNothing: break
            case .deliversTwice:
                deliver(entries)
                deliver(entries)
            case .deliversBackwards: deliver(entries.reversed())
            default: deliver(entries)
            }
        }
    }

    func append(_ events: [NewEvent]) async throws -> [EventID] {
        var events = events
        switch fault {
        case .keepsPartOfABatch:
            var ids: [EventID] = []
            for event in events { ids += try await memory.append([event]) }
            return ids
        case .normalises:
            // What a database without a binary collation does to a name.
            events = try events.map { event in
                let topics = try event.topics.map { try Topic($0.name == "cafe\u{301}" ? "caf\u{e9}" : $0.name) }
                return NewEvent(
                    encoded: event.encoded,
                    topics: topics,
                    isRestricted: event.isRestricted,
                    requestedID: event.requestedID
                )
            }
        case .ignoresChosenIDs:
            events = events.map { event in
                guard event.requestedID?.isReserved == false else { return event }
                return NewEvent(
                    encoded: event.encoded,
                    topics: event.topics,
                    isRestricted: event.isRestricted,
                    requestedID: nil
                )
            }
        case .asksBackInAppend:
            // Each append adds the events of the previous one to history.
            let before = late.withLock { late in
                defer { late = events }
                return late
            }
            if !before.isEmpty { _ = try await memory.append(before) }
            return events.indices.map { memory.id(at: Position(UInt64($0 + 1))) }
        default: break
        }
        let ids = try await memory.append(events)
        switch fault {
        case .returnsIDsBackwards: return ids.reversed()
        case .returnsOneID: return Array(ids.prefix(1))
        default: return ids
        }
    }

    func locate(_ id: EventID) async throws -> Position? {
        switch fault {
        case .locatesNothing: return nil
        case .locatesAnything: return try await memory.locate(id) ?? .zero
        case .locatesFuture:
            let number = UInt64(id.description.split(separator: "-").last ?? "")
            if let number, memory.id(at: Position(number)) == id { return Position(number) }
            return try await memory.locate(id)
        default: return try await memory.locate(id)
        }
    }

    func read(after position: Position?, selection: Selection, limit: ReadLimit) async throws -> HistoryBatch {
        var position = position
        var limit = limit
        var selection = selection
        if fault == .ignoresLimits { limit = .none }
        if fault == .ignoresRestriction { selection = Selection(selection.wanted) }
        if fault == .readsInclusively, let number = position?.number, number > 0 { position = Position(number - 1) }
        var batch = try await memory.read(after: position, selection: selection, limit: limit)
        switch fault {
        case .losesFirst where batch.entries.count > 2: batch.entries.removeFirst()
        case .losesLast where batch.entries.count > 2: batch.entries.removeLast()
        case .looksTooFar: if !batch.entries.isEmpty { batch.through.number += 1 }
        case .neverAdvances: batch.through = position ?? .zero
        case .silentTrim, .silentPurge: batch.missingThrough = nil
        case .alwaysMissing: batch.missingThrough = batch.through
        default: break
        }
        return batch
    }

    func readNow(after position: Position?, selection: Selection, limit: ReadLimit) -> HistoryBatch? {
        guard fault == .differsWithoutWaiting else { return nil }
        return memory.readNow(after: position, selection: Selection([.all]), limit: limit)
    }

    func id(at position: Position) -> EventID { memory.id(at: position) }
    func purge(_ topic: Topic) async throws -> Int { try await memory.purge(topic) }

    func statistics() async throws -> HistoryStatistics {
        var statistics = try await memory.statistics()
        if fault == .countsWrong { statistics.events += 1 }
        return statistics
    }

    func expire() async { await memory.expire() }
}
