// SPDX-License-Identifier: Apache-2.0

#if JWT
import Crypto
import PlinthHub
import Synchronization

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// The grants of tokens whose signatures were verified, by the SHA-256 of their text.
///
/// It never holds a refusal. It is bounded by two halves: once the younger one is full it becomes the older one, and
/// what the older one had is forgotten, except what was used since.
final class TokenCache: Sendable {
    /// The SHA-256 of a token.
    struct Key: Hashable {
        private let words: (UInt64, UInt64, UInt64, UInt64)

        init(_ token: String) {
            var token = token
            let digest = token.withUTF8 { text in
                var hash = SHA256()
                hash.update(bufferPointer: UnsafeRawBufferPointer(text))
                return hash.finalize()
            }
            words = digest.withUnsafeBytes { bytes in
                func word(_ index: Int) -> UInt64 { bytes.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self) }
                return (word(0), word(1), word(2), word(3))
            }
        }

        static func == (left: Key, right: Key) -> Bool { left.words == right.words }

        /// Hashes one word: all are evenly distributed.
        func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
    }

    private struct State {
        /// Of the keys that verified all entries.
        var generation = 0
        var young: [Key: HubGrant] = [:]
        var old: [Key: HubGrant] = [:]
        var youngWeight = 0
    }

    /// The most weight of each half.
    private let half: Int
    private let state = Mutex(State())

    /// Creates a cache.
    ///
    /// - Parameter limit: The most tokens; one of many topics counts as several. Less than 2 keeps none.
    init(limit: Int) {
        half = max(limit, 0) / 2
    }

    /// A token counts as another one for each 16 topics and patterns, so that memory is bounded too.
    static func weight(_ grant: HubGrant) -> Int { 1 + (grant.publish.count + grant.subscribe.count) / 16 }

    /// The number of entries.
    var count: Int { state.withLock { $0.young.count + $0.old.count } }

    /// The grant of a token.
    ///
    /// - Parameters:
    ///   - key: The token's.
    ///   - generation: That of the current keys.
    /// - Returns: The grant, which may have expired meanwhile; nil if it is not known, or was verified with other keys.
    func grant(for key: Key, _ generation: Int) -> HubGrant? {
        let (grant, forgotten) = state.withLock { state -> (HubGrant?, [Key: HubGrant]) in
            guard state.generation == generation else { return (nil, [:]) }
            if let grant = state.young[key] { return (grant, [:]) }
            guard let grant = state.old.removeValue(forKey: key) else { return (nil, [:]) }
            return (grant, add(grant, key, &state))
        }
        // Freed without the lock: it may be thousands of grants.
        withExtendedLifetime(forgotten) {}
        return grant
    }

    /// Adds a token that was verified with the keys of a generation; ignored if there are newer ones.
    func insert(_ grant: HubGrant, for key: Key, _ generation: Int) {
        guard Self.weight(grant) <= half else { return }
        let forgotten = state.withLock { state -> [[Key: HubGrant]] in
            guard generation >= state.generation else { return [] }
            var forgotten: [[Key: HubGrant]] = []
            if generation > state.generation {
                forgotten = [state.young, state.old]
                state = State(generation: generation)
            }
            guard state.young[key] == nil else { return forgotten }
            state.old[key] = nil
            return forgotten + [add(grant, key, &state)]
        }
        withExtendedLifetime(forgotten) {}
    }

    /// Adds to the younger half, and returns what is forgotten for it.
    private func add(_ grant: HubGrant, _ key: Key, _ state: inout State) -> [Key: HubGrant] {
        var forgotten: [Key: HubGrant] = [:]
        if state.youngWeight + Self.weight(grant) > half {
            forgotten = state.old
            state.old = state.young
            state.young = [:]
            state.youngWeight = 0
        }
        state.young[key] = grant
        state.youngWeight += Self.weight(grant)
        return forgotten
    }
}
#endif
