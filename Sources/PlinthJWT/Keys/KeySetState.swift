// SPDX-License-Identifier: Apache-2.0

#if JWT
import PlinthStreams

/// When a key set is fetched, and what is said meanwhile of tokens whose key it does not have.
///
/// A pure state machine: the caller fetches, and passes the time.
struct KeySetState {
    /// How old a set may become before it is fetched anew: 15 minutes.
    static let maximumAge = Duration.seconds(15 * 60)
    /// The least time from the start of one fetch to the next, whatever is asked: 60 s.
    static let pause = Duration.seconds(60)
    /// How long a set is used while fetches fail: 24 hours.
    static let hold = Duration.seconds(24 * 3600)

    /// What to do about a token whose key the set does not have.
    enum Missing: Equatable {
        /// The set is up to date: there is no such key.
        case refuse
        /// A fetch is under way or due, and decides.
        case wait
        /// The set may be out of date, and cannot be fetched now.
        case unavailable
    }

    /// What the end of a fetch changed.
    struct Change: Equatable {
        /// Whether the keys are others than before.
        var hasChanged = false
        /// Whether a former key is gone.
        var hasRemoved = false
    }

    /// Nil before the first set, and once the last one is too old.
    private(set) var keys: JWTKeys?
    /// When the fetch of ``keys`` began.
    private var fetched: MonotonicTime?
    /// When the last fetch began.
    private var attempted: MonotonicTime?
    private var hasFailed = false
    private(set) var isFetching = false
    /// Whether a token of an unknown key waits for a fetch.
    private var isWanted = false

    /// What to do about a token whose key is unknown.
    func missing(at now: MonotonicTime) -> Missing {
        guard !isFetching, let attempted, now < attempted + Self.pause else { return .wait }
        return hasFailed ? .unavailable : .refuse
    }

    /// Asks for a fetch on behalf of a token, unless one is under way.
    mutating func want() {
        if !isFetching { isWanted = true }
    }

    /// Begins a fetch if one is due.
    ///
    /// - Returns: Whether the caller is to fetch, and then to call ``finish(_:at:)``.
    mutating func begin(at now: MonotonicTime) -> Bool {
        guard !isFetching else { return false }
        if let attempted {
            guard now >= attempted + Self.pause else { return false }
            let isOld = fetched.map { now >= $0 + Self.maximumAge } ?? true
            guard isWanted || isOld || hasFailed else { return false }
        }
        attempted = now
        isFetching = true
        isWanted = false
        return true
    }

    /// Ends a fetch.
    ///
    /// - Parameters:
    ///   - new: The set; nil if the fetch failed, which keeps the former one.
    ///   - now: The time.
    /// - Returns: What has changed.
    mutating func finish(_ new: JWTKeys?, at now: MonotonicTime) -> Change {
        isFetching = false
        hasFailed = new == nil
        guard let new else { return expire(at: now) }
        fetched = attempted
        return replace(new)
    }

    /// Drops a set that no fetch has renewed for 24 hours.
    mutating func expire(at now: MonotonicTime) -> Change {
        guard keys != nil, let fetched, now >= fetched + Self.hold else { return Change() }
        return replace(nil)
    }

    private mutating func replace(_ new: JWTKeys?) -> Change {
        let (before, after) = (references(keys), references(new))
        keys = new
        return Change(hasChanged: before != after, hasRemoved: !before.isSubset(of: after))
    }

    private func references(_ keys: JWTKeys?) -> Set<JWTKeyReference> { Set(keys?.keys.map(\.reference) ?? []) }
}
#endif
