// SPDX-License-Identifier: Apache-2.0

import Synchronization

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// The revocation of a subject: its grants that were issued before it hold no longer.
public struct HubRevocation: Sendable, Hashable {
    /// The subject's name, in every source and of every issuer that ``issuer`` does not exclude.
    public let name: String
    /// The only issuer concerned; nil for all.
    public let issuer: String?
    /// When the subject was revoked.
    public let time: Date
    /// From when newly issued tokens hold: ``time`` and the leeway of clocks.
    public let newTokensHold: Date
    /// Until when it is kept: no token that it concerns lives longer.
    public let isKeptUntil: Date

    /// Creates a revocation, as a store reads it.
    public init(name: String, issuer: String?, time: Date, newTokensHold: Date, isKeptUntil: Date) {
        self.name = name
        self.issuer = issuer
        self.time = time
        self.newTokensHold = newTokensHold
        self.isKeptUntil = isKeptUntil
    }
}

/// Keeps revocations over a restart: never as events of a topic, since whoever reads or purges topics has nothing to do
/// with them.
public protocol RevocationStore: Sendable {
    /// Whether what is saved survives the process.
    var isLasting: Bool { get }

    /// All revocations that were saved and have not been removed.
    ///
    /// - Throws: The store's error.
    func revocations() async throws -> [HubRevocation]

    /// Saves a revocation, in place of one of the same name and issuer, and removes those that are no longer kept.
    ///
    /// - Parameters:
    ///   - revocation: The revocation; on return it is as durable as the store promises.
    ///   - now: The time.
    /// - Throws: The store's error.
    func save(_ revocation: HubRevocation, now: Date) async throws
}

/// Keeps revocations until the process ends.
public struct MemoryRevocationStore: RevocationStore {
    /// Creates a store.
    public init() {}

    /// False.
    public var isLasting: Bool { false }

    /// None.
    public func revocations() async throws -> [HubRevocation] { [] }

    /// Nothing: the revocations that ``HubRevocations`` holds are the ones that there are.
    public func save(_ revocation: HubRevocation, now: Date) async throws {}
}

/// The revoked subjects of a hub, looked at on every use of a grant.
public final class HubRevocations: Sendable {
    private struct Key: Hashable {
        let name: [UInt8]
        let issuer: [UInt8]?

        init(_ name: String, _ issuer: String?) {
            self.name = Array(name.utf8)
            self.issuer = issuer.map { Array($0.utf8) }
        }
    }

    private let store: any RevocationStore
    private let maximumLifetime: Duration
    private let leeway: Duration
    private let now: @Sendable () -> Date
    private let revoked: Mutex<[Key: HubRevocation]>
    /// Read first, since nearly always nobody is revoked.
    private let hasAny: Atomic<Bool>

    /// Creates the revocations of a hub, with those that a store kept.
    ///
    /// - Parameters:
    ///   - store: Keeps them over a restart. Default: in memory only.
    ///   - maximumLifetime: The longest that a token may live from being issued to its expiry: a revocation is kept for
    ///     that, and twice the leeway.
    ///   - leeway: How far the clocks of issuers may be ahead. Default: 60 s.
    /// - Throws: The store's error.
    public convenience init(
        store: any RevocationStore = MemoryRevocationStore(),
        maximumLifetime: Duration,
        leeway: Duration = .seconds(60)
    ) async throws {
        try await self.init(store: store, maximumLifetime: maximumLifetime, leeway: leeway, now: { Date() })
    }

    package init(
        store: any RevocationStore,
        maximumLifetime: Duration,
        leeway: Duration,
        now: @escaping @Sendable () -> Date
    ) async throws {
        self.store = store
        self.maximumLifetime = maximumLifetime
        self.leeway = leeway
        self.now = now
        var revoked: [Key: HubRevocation] = [:]
        for stored in try await store.revocations() {
            // The lifetime may have been raised since.
            let last = stored.time.advanced(by: maximumLifetime.inSeconds + 2 * leeway.inSeconds)
            let revocation = HubRevocation(
                name: stored.name,
                issuer: stored.issuer,
                time: stored.time,
                newTokensHold: stored.newTokensHold,
                isKeptUntil: max(stored.isKeptUntil, last)
            )
            if revocation.isKeptUntil > now() { revoked[Key(stored.name, stored.issuer)] = revocation }
        }
        hasAny = Atomic(!revoked.isEmpty)
        self.revoked = Mutex(revoked)
    }

    /// Whether revocations survive the process.
    public var isLasting: Bool { store.isLasting }

    /// Revokes a subject: from now on its grants of before are refused.
    ///
    /// It does not end open streams; `HubService.endStreams(of:issuer:)` does, and must be called after
    /// it.
    ///
    /// - Parameters:
    ///   - name: The subject's name.
    ///   - issuer: The only issuer concerned. Default: nil, all.
    /// - Returns: The revocation. It holds even if saving it fails, until the process ends.
    /// - Throws: The store's error.
    @discardableResult
    public func revoke(_ name: String, issuer: String? = nil) async throws -> HubRevocation {
        let time = now()
        let (leeway, lifetime) = (leeway.inSeconds, maximumLifetime.inSeconds)
        let revocation = revoked.withLock { revoked in
            revoked = revoked.filter { $0.value.isKeptUntil > time }
            let former = revoked[Key(name, issuer)]
            // A clock that was set back must not let in what was refused.
            let revocation = HubRevocation(
                name: name,
                issuer: issuer,
                time: max(time, former?.time ?? time),
                newTokensHold: max(time.advanced(by: leeway), former?.newTokensHold ?? time),
                isKeptUntil: max(time.advanced(by: lifetime + 2 * leeway), former?.isKeptUntil ?? time)
            )
            revoked[Key(name, issuer)] = revocation
            return revocation
        }
        hasAny.store(true, ordering: .sequentiallyConsistent)
        try await store.save(revocation, now: time)
        return revocation
    }

    /// Whether a grant was issued before its subject was revoked, or it is not known when.
    public func isRevoked(_ grant: HubGrant) -> Bool {
        guard hasAny.load(ordering: .sequentiallyConsistent), let subject = grant.subject else { return false }
        return revoked.withLock { revoked in
            for issuer in subject.issuer == nil ? [nil] : [nil, subject.issuer] {
                guard let revocation = revoked[Key(subject.name, issuer)], revocation.isKeptUntil > now() else {
                    continue
                }
                guard let issued = grant.issued, issued > revocation.newTokensHold else { return true }
            }
            return false
        }
    }
}

extension Duration {
    /// The duration in seconds.
    package var inSeconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}
