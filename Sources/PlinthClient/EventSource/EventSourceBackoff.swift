// SPDX-License-Identifier: Apache-2.0

/// The time that an event source waits beyond the reconnection time: random, and longer with each failure in a row.
///
/// Before the *n*-th attempt after a failure it is chosen evenly between nothing and `base × 2^(n−1)`, at most `cap`
/// ("full jitter"): the clients of a server that was restarted do not come back all at once, and one that stays away is
/// asked less and less. The HTML standard allows for it, section
/// [9.2.3](https://html.spec.whatwg.org/multipage/server-sent-events.html#reestablish-the-connection).
public struct EventSourceBackoff: Sendable, Hashable {
    /// The longest time added after the first failure.
    public let base: Duration

    /// The longest time added after any number of failures.
    public let cap: Duration

    /// How long a connection has to be open, without an event, so that it counts as no failure when it breaks off.
    ///
    /// One that brought an event does at once. One that the server ends properly does after 1 second, or after the
    /// reconnection time if that is longer, but not after more than this time.
    public let resetTime: Duration

    /// Nothing is added.
    public static let none = EventSourceBackoff(base: .zero, cap: .zero, resetTime: .seconds(60))

    /// A random time that grows with each failure.
    ///
    /// - Parameters:
    ///   - base: The longest time added after the first failure; 1 second unless given.
    ///   - cap: The longest time added after any number of failures; 30 seconds unless given.
    ///   - resetTime: How long a connection has to be open so that it counts as no failure when it breaks off; 60 seconds
    ///     unless given.
    /// - Returns: The back-off.
    public static func exponential(
        base: Duration = .seconds(1),
        cap: Duration = .seconds(30),
        resetTime: Duration = .seconds(60)
    ) -> EventSourceBackoff {
        EventSourceBackoff(base: max(base, .zero), cap: max(cap, .zero), resetTime: resetTime)
    }

    /// The time added after so many failures in a row, at least 1.
    func delay(failures: Int, random: Double) -> Duration {
        guard base > .zero else { return .zero }
        // 2^40 seconds are more than any cap.
        let limit = min(base * (1 << min(max(failures - 1, 0), 40)), cap)
        return limit * min(max(random, 0), 1)
    }
}
