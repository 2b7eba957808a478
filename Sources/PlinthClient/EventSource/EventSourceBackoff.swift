// SPDX-License-Identifier: Apache-2.0

/// The random delay that an event source adds to the reconnection time, growing with each consecutive failure.
///
/// After *n* consecutive failures the delay is uniformly distributed between 0 and `base × 2^(n−1)`, at most `cap`
/// ("full jitter"): the clients of a restarted server do not all reconnect at once, and a server that stays unreachable
/// receives fewer and fewer requests. The HTML standard allows it, section
/// [9.2.3](https://html.spec.whatwg.org/multipage/server-sent-events.html#reestablish-the-connection).
public struct EventSourceBackoff: Sendable, Hashable {
    /// The maximum delay added after the first failure.
    public let base: Duration

    /// The maximum delay added after any number of failures.
    public let cap: Duration

    /// How long a connection without an event must have been open to reset the count of failures when it is lost.
    ///
    /// A connection that brought an event always resets it. One that the server ends properly resets it after 1 second
    /// or the reconnection time, whichever is longer, but at most after this time.
    public let resetTime: Duration

    /// Adds no delay.
    public static let none = EventSourceBackoff(base: .zero, cap: .zero, resetTime: .seconds(60))

    /// A random delay whose maximum doubles with each consecutive failure.
    ///
    /// - Parameters:
    ///   - base: The maximum delay added after the first failure. Default: 1 s.
    ///   - cap: The maximum delay added after any number of failures. Default: 30 s.
    ///   - resetTime: How long a connection must have been open to reset the count of failures when it is lost.
    ///     Default: 60 s.
    /// - Returns: The back-off.
    public static func exponential(
        base: Duration = .seconds(1),
        cap: Duration = .seconds(30),
        resetTime: Duration = .seconds(60)
    ) -> EventSourceBackoff {
        EventSourceBackoff(base: max(base, .zero), cap: max(cap, .zero), resetTime: resetTime)
    }

    /// The delay added after this number of consecutive failures, at least 1.
    func delay(failures: Int, random: Double) -> Duration {
        guard base > .zero else { return .zero }
        // 2^40 seconds exceed any cap.
        let limit = min(base * (1 << min(max(failures - 1, 0), 40)), cap)
        return limit * min(max(random, 0), 1)
    }
}
