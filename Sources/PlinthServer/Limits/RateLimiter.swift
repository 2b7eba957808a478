// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import Synchronization

/// Limits how much each client may do in a time, such as requests a second or new topics a minute.
///
/// After a pause, the amount of one window may be taken at once. A single request with more is taken as well if nothing
/// else was taken before; the client then waits until all of it has come back.
///
/// Memory: about 100 bytes and a key for each client that has taken something within the last window, at most
/// `maximumKeys` of them; see ``TokenBuckets``.
final class RateLimiter<Key: Hashable & Sendable>: Sendable {
    /// Whether something may be done.
    enum Answer: Equatable {
        case taken
        /// Nothing was taken; the same can be taken after this time, if nothing else is.
        case refused(wait: Duration)
    }

    private let buckets: Mutex<TokenBuckets<Key>>

    /// Creates a limiter.
    ///
    /// - Parameters:
    ///   - limit: The rate of each key.
    ///   - maximumKeys: The most keys held. Default: 100,000.
    init(_ limit: RateLimit, maximumKeys: Int = 100_000) {
        buckets = Mutex(TokenBuckets(limit, maximumKeys: maximumKeys))
    }

    /// Takes what a client wants to do from its rate, or nothing.
    ///
    /// - Parameters:
    ///   - key: The client: its address or its subject.
    ///   - events: The number of events, requests or topics. Default: 1.
    ///   - bytes: The number of bytes. Default: 0.
    ///   - now: The time.
    /// - Returns: Whether it was taken.
    func take(_ key: Key, events: Int = 1, bytes: Int = 0, now: MonotonicTime) -> Answer {
        let wait = buckets.withLock { $0.take(key, events: events, bytes: bytes, now: now) }
        return wait.map { Answer.refused(wait: $0) } ?? .taken
    }

    /// How long a client has to wait before it may take one; nil if it may now.
    ///
    /// Takes nothing.
    func wait(_ key: Key, now: MonotonicTime) -> Duration? { buckets.withLock { $0.wait(key, now: now) } }

    /// The number of keys held.
    var count: Int { buckets.withLock { $0.count } }
}

extension Duration {
    /// The value of `Retry-After` (RFC 9110, section 10.2.3) for a wait: whole seconds, rounded up, at least 1.
    var retryAfter: String {
        let (seconds, attoseconds) = components
        return "\(max(1, attoseconds > 0 && seconds < .max ? seconds + 1 : seconds))"
    }
}

#endif
