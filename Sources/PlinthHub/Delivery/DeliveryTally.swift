// SPDX-License-Identifier: Apache-2.0

/// Counts of a distributor's work, for metrics.
package struct DeliveryTally: Sendable, Hashable {
    /// Events written, live and from history.
    package var delivered = 0
    /// Bytes taken by connections.
    package var bytes = 0
    package var heartbeats = 0
    /// Reads of history.
    package var reads = 0
    /// Events read from history.
    package var replayed = 0
    /// Gaps reported, and streams closed because of one.
    package var gaps = 0
    /// The longest time from an event's publication to its delivery here, in nanoseconds.
    package var lag: Int64 = 0

    package init() {}

    /// Adds another tally.
    package mutating func add(_ other: DeliveryTally) {
        delivered += other.delivered
        bytes += other.bytes
        heartbeats += other.heartbeats
        reads += other.reads
        replayed += other.replayed
        gaps += other.gaps
        lag = max(lag, other.lag)
    }
}
