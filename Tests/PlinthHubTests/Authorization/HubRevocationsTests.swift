// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization
import Testing

@testable import PlinthHub

@Suite("Revocations")
struct HubRevocationsTests {
    private struct Failure: Error {}

    /// A calendar's clock that moves only when it is set; in seconds since 1970.
    private final class Calendar: Sendable {
        private let seconds = Mutex(1_000_000.0)

        var now: Date { Date(timeIntervalSince1970: seconds.withLock { $0 }) }
        func advance(by time: Double) { seconds.withLock { $0 += time } }
    }

    /// A store that records what it is given, and fails if it is told to.
    private final class Store: RevocationStore {
        private struct State {
            var saved: [HubRevocation] = []
            var times: [Date] = []
            var fails = false
        }

        private let state = Mutex(State())

        init(_ saved: [HubRevocation] = []) { state.withLock { $0.saved = saved } }

        var isLasting: Bool { true }
        var saved: [HubRevocation] { state.withLock { $0.saved } }
        var times: [Date] { state.withLock { $0.times } }
        func set(fails: Bool) { state.withLock { $0.fails = fails } }

        func revocations() async throws -> [HubRevocation] {
            try state.withLock { state in
                guard !state.fails else { throw Failure() }
                return state.saved
            }
        }

        func save(_ revocation: HubRevocation, now: Date) async throws {
            try state.withLock { state in
                guard !state.fails else { throw Failure() }
                state.saved.append(revocation)
                state.times.append(now)
            }
        }
    }

    private let calendar = Calendar()

    /// Revocations with a lifetime of 1,000 s and a leeway of 60 s.
    private func revocations(_ store: any RevocationStore = MemoryRevocationStore()) async throws -> HubRevocations {
        try await HubRevocations(
            store: store,
            maximumLifetime: .seconds(1000),
            leeway: .seconds(60),
            now: { [calendar] in calendar.now }
        )
    }

    /// A grant that was issued some seconds after now; at an unknown time if nil.
    private func grant(_ name: String, issuer: String? = nil, issued: Double?, source: String = "jwt") -> HubGrant {
        HubGrant(
            subject: HubSubject(source: source, issuer: issuer, name: name),
            publish: [.all],
            issued: issued.map { calendar.now.addingTimeInterval($0) }
        )
    }

    // MARK: - Grants

    @Test("Grants issued up to the leeway after a revocation are refused, and so are those of unknown age")
    func times() async throws {
        let revocations = try await revocations()
        #expect(!revocations.isRevoked(grant("a", issued: -100)))
        try await revocations.revoke("a")
        for issued in [-1_000_000, -1, 0, 59, 60, nil] as [Double?] {
            #expect(revocations.isRevoked(grant("a", issued: issued)), "\(String(describing: issued))")
        }
        for issued in [60.5, 61, 100_000] { #expect(!revocations.isRevoked(grant("a", issued: issued)), "\(issued)") }
        for name in ["b", "A", "a/", ""] { #expect(!revocations.isRevoked(grant(name, issued: 0))) }
        #expect(!revocations.isRevoked(HubGrant.everything()))
    }

    @Test("A revocation concerns every issuer and source of the name, or one issuer")
    func issuers() async throws {
        let revocations = try await revocations()
        try await revocations.revoke("one", issuer: "x")
        #expect(revocations.isRevoked(grant("one", issuer: "x", issued: 0)))
        #expect(revocations.isRevoked(grant("one", issuer: "x", issued: 0, source: "other")))
        for issuer in [nil, "", "X", "y"] { #expect(!revocations.isRevoked(grant("one", issuer: issuer, issued: 0))) }
        try await revocations.revoke("empty", issuer: "")
        #expect(revocations.isRevoked(grant("empty", issuer: "", issued: 0)))
        #expect(!revocations.isRevoked(grant("empty", issued: 0)))
        try await revocations.revoke("all")
        for issuer in [nil, "", "x"] { #expect(revocations.isRevoked(grant("all", issuer: issuer, issued: 0))) }
        #expect(revocations.isRevoked(grant("all", issued: 0, source: "application")))
    }

    @Test("Names are compared as bytes")
    func bytes() async throws {
        let revocations = try await revocations()
        try await revocations.revoke("caf\u{e9}", issuer: "caf\u{e9}")
        #expect(revocations.isRevoked(grant("caf\u{e9}", issuer: "caf\u{e9}", issued: 0)))
        #expect(!revocations.isRevoked(grant("cafe\u{301}", issuer: "caf\u{e9}", issued: 0)))
        #expect(!revocations.isRevoked(grant("caf\u{e9}", issuer: "cafe\u{301}", issued: 0)))
    }

    @Test("A revocation of one issuer does not shorten one of all, whichever comes first", arguments: [true, false])
    func both(allFirst: Bool) async throws {
        let revocations = try await revocations()
        try await revocations.revoke("a", issuer: allFirst ? nil : "x")
        calendar.advance(by: 500)
        try await revocations.revoke("a", issuer: allFirst ? "x" : nil)
        #expect(revocations.isRevoked(grant("a", issuer: "x", issued: 0)))
        #expect(revocations.isRevoked(grant("a", issuer: "y", issued: 0)) == !allFirst)
        #expect(revocations.isRevoked(grant("a", issuer: "y", issued: -500)))
    }

    @Test("Revoking again refuses what was issued since")
    func again() async throws {
        let revocations = try await revocations()
        try await revocations.revoke("a")
        calendar.advance(by: 200)
        #expect(!revocations.isRevoked(grant("a", issued: -100)))
        try await revocations.revoke("a")
        #expect(revocations.isRevoked(grant("a", issued: -100)))
        #expect(!revocations.isRevoked(grant("a", issued: 61)))
    }

    // MARK: - How long

    @Test("A revocation says from when new tokens hold and until when it is kept, and ends then")
    func lifetime() async throws {
        let store = Store()
        let revocations = try await revocations(store)
        let time = calendar.now
        let revocation = try await revocations.revoke("a", issuer: "x")
        let expected = HubRevocation(
            name: "a",
            issuer: "x",
            time: time,
            newTokensHold: time.addingTimeInterval(60),
            isKeptUntil: time.addingTimeInterval(1120)
        )
        #expect(revocation == expected)
        #expect(store.saved == [expected] && store.times == [time])
        calendar.advance(by: 1119)
        #expect(revocations.isRevoked(grant("a", issuer: "x", issued: nil)))
        calendar.advance(by: 1)
        #expect(!revocations.isRevoked(grant("a", issuer: "x", issued: nil)))
        // Another one removes it, which changes nothing.
        try await revocations.revoke("b")
        #expect(!revocations.isRevoked(grant("a", issuer: "x", issued: nil)))
        #expect(revocations.isRevoked(grant("b", issued: 0)))
    }

    @Test("Stored revocations hold from the start, but for those that are no longer kept")
    func loaded() async throws {
        func stored(_ name: String, issuer: String? = nil, until: Double) -> HubRevocation {
            HubRevocation(
                name: name,
                issuer: issuer,
                time: calendar.now.addingTimeInterval(-2000),
                newTokensHold: calendar.now.addingTimeInterval(-440),
                isKeptUntil: calendar.now.addingTimeInterval(until)
            )
        }
        let store = Store([stored("a", issuer: "x", until: 1), stored("b", until: 0), stored("c", until: -1)])
        let revocations = try await revocations(store)
        #expect(revocations.isLasting)
        #expect(revocations.isRevoked(grant("a", issuer: "x", issued: -440)))
        #expect(!revocations.isRevoked(grant("a", issuer: "x", issued: -439)))
        #expect(!revocations.isRevoked(grant("a", issued: nil)))
        for name in ["b", "c"] { #expect(!revocations.isRevoked(grant(name, issued: nil))) }
        #expect(store.saved.count == 3)
    }

    @Test("In memory nothing lasts, and a new hub knows nothing")
    func memory() async throws {
        let store = MemoryRevocationStore()
        let first = try await revocations(store)
        try await first.revoke("a")
        #expect(!first.isLasting)
        #expect(first.isRevoked(grant("a", issued: 0)))
        #expect(try await !revocations(store).isRevoked(grant("a", issued: 0)))
    }

    // MARK: - Failures

    @Test("A revocation that cannot be saved holds, and is reported; saving it again succeeds")
    func failingSave() async throws {
        let store = Store()
        let revocations = try await revocations(store)
        store.set(fails: true)
        await #expect(throws: Failure.self) { try await revocations.revoke("a") }
        #expect(revocations.isRevoked(grant("a", issued: 0)))
        store.set(fails: false)
        try await revocations.revoke("a")
        #expect(store.saved.map(\.name) == ["a"])
    }

    @Test("Without the stored revocations there are none to begin with: the error is passed on")
    func failingLoad() async throws {
        let store = Store()
        store.set(fails: true)
        await #expect(throws: Failure.self) { try await self.revocations(store) }
    }

    @Test("A revocation after the clock was set back refuses no less than the former")
    func clockSetBack() async throws {
        let revocations = try await revocations()
        let first = try await revocations.revoke("eve")
        calendar.advance(by: -3600)
        let second = try await revocations.revoke("eve")
        #expect(second.newTokensHold == first.newTokensHold && second.isKeptUntil == first.isKeptUntil)
    }

    @Test("A longer lifetime of tokens lengthens the revocations that were stored")
    func longerLifetime() async throws {
        let store = Store()
        _ = try await revocations(store).revoke("eve")
        calendar.advance(by: 5000)
        let longer = try await HubRevocations(
            store: store,
            maximumLifetime: .seconds(100_000),
            leeway: .seconds(60),
            now: { [calendar] in calendar.now }
        )
        #expect(longer.isRevoked(HubGrant(subject: "eve", issued: Date(timeIntervalSince1970: 1_000_000))))
    }
}
