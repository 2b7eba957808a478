// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import PlinthHubTesting
import PlinthTestSupport
import Synchronization
import Testing

@testable import PlinthHub

@Suite("History contract")
struct HistoryContractTests {
    private static func limits(_ events: Int) -> HistoryLimits { HistoryLimits(events: events) }

    /// All abilities of a history in memory, on a clock of its own.
    private static func memory(
        acceptsIDs: Bool = false,
        _ wrap: @escaping @Sendable (MemoryHistory) -> any History = { $0 }
    ) -> (abilities: HistoryContract.Abilities, make: @Sendable () -> any History) {
        let clock = TestClock()
        let make = { @Sendable (total: HistoryLimits, quotas: HistoryQuotas) -> any History in
            let token = HistoryEpochs.randomToken()
            let memory = MemoryHistory(total: total, quotas: quotas, acceptsIDs: acceptsIDs, token: token) { clock.now }
            return wrap(memory)
        }
        var abilities = HistoryContract.Abilities()
        abilities.acceptsIDs = acceptsIDs
        abilities.makeTrimming = { make(limits($0), HistoryQuotas()) }
        abilities.makeBounded = { make(.defaultInTotal, $0) }
        abilities.advance = { _, time in clock.advance(by: time) }
        abilities.reopen = { history in
            let memory = try #require(history as? MemoryHistory ?? (history as? any MemoryBackedHistory)?.memory)
            memory.beginEpoch(HistoryEpochs.randomToken())
            return history
        }
        return (abilities, { make(.defaultInTotal, HistoryQuotas()) })
    }

    private static func contract(acceptsIDs: Bool) -> HistoryContract {
        let (abilities, make) = memory(acceptsIDs: acceptsIDs)
        return HistoryContract(abilities: abilities) { make() }
    }

    @Test("A memory history keeps the contract", arguments: HistoryContract.all)
    func memory(rule: HistoryContract.Rule) async throws {
        try await Self.contract(acceptsIDs: false).check(rule)
    }

    @Test("A memory history that accepts chosen IDs keeps the contract", arguments: HistoryContract.all)
    func choosing(rule: HistoryContract.Rule) async throws {
        try await Self.contract(acceptsIDs: true).check(rule)
    }

    @Test("A memory history that trims by topic keeps the contract")
    func byTopic() async throws {
        var abilities = HistoryContract.Abilities()
        abilities.makeTrimming = { MemoryHistory(topic: Self.limits($0 / 4), total: Self.limits($0)) }
        try await HistoryContract(abilities: abilities) { MemoryHistory() }.runAll()
    }

    @Test("A history that answers later keeps the contract", arguments: HistoryContract.all)
    func later(rule: HistoryContract.Rule) async throws {
        let (usual, make) = Self.memory { YieldingHistory($0) }
        var abilities = usual
        abilities.failNextAppend = { ($0 as? YieldingHistory)?.failNextAppend() }
        abilities.inject = { history, events in
            let memory = try #require((history as? YieldingHistory)?.memory)
            _ = try memory.appendNow(events)
        }
        try await HistoryContract(abilities: abilities) { make() }.check(rule)
    }

    @Test("A faulty history is detected by the rules that it breaks", arguments: FaultyHistory.Fault.allCases)
    func faulty(fault: FaultyHistory.Fault) async throws {
        var (abilities, usual) = Self.memory(acceptsIDs: fault == .ignoresChosenIDs) { FaultyHistory(fault, $0) }
        if fault == .reusesIDs {
            let clock = TestClock()
            let token = HistoryEpochs.randomToken()
            usual = { FaultyHistory(fault, MemoryHistory(token: token) { clock.now }) }
        }
        let make = usual
        abilities.patience = .milliseconds(20)
        switch fault {
        case .forgetsFailures: abilities.failNextAppend = { _ in }
        case .losesInjected: abilities.inject = { _, _ in }
        case .neverAges: abilities.advance = { _, _ in }
        case .ignoresQuotas: abilities.makeBounded = { _ in make() }
        case .forgetsWhenReopened, .reusesIDs: abilities.reopen = { _ in make() }
        default: break
        }
        for name in fault.rules {
            let contract = HistoryContract(abilities: abilities) { make() }
            let rule = try #require(HistoryContract.all.first { $0.name == name }, "no rule \(name)")
            let error = await #expect(throws: HistoryContractViolation.self, "\(fault), \(name)") {
                try await contract.check(rule)
            }
            #expect(error?.rule == name)
            #expect(error?.seen.isEmpty == false)
        }
    }

    @Test("Each rule is broken by a faulty history")
    func complete() {
        let broken = Set(FaultyHistory.Fault.allCases.flatMap(\.rules))
        let missing = HistoryContract.all.map(\.name).filter { !broken.contains($0) }
        #expect(missing.isEmpty)
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
