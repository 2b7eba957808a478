// SPDX-License-Identifier: Apache-2.0

/// How much a history remembers besides events.
///
/// An anonymous publisher has no quota of its own: the bounds of all apply.
public struct HistoryQuotas: Sendable, Hashable {
    /// The maximum number of ended topics; at the bound, the one that ended first and holds no events is dropped.
    ///
    /// Default: 100,000.
    public var endedTopics = 100_000
    /// The same for the topics that one subject ended.
    ///
    /// Default: 10,000.
    public var endedTopicsPerSubject = 10_000
    /// The maximum number of producers, each with its topic; at the bound, those inactive for an hour are dropped.
    ///
    /// Default: 100,000.
    public var producers = 100_000
    /// The same for the producers of one subject.
    ///
    /// Default: 10,000.
    public var producersPerSubject = 10_000
    /// The maximum bytes of idempotency keys with their answers.
    ///
    /// Default: 64 MiB.
    public var keyBytes = 64 << 20
    /// The same for the keys of one subject.
    ///
    /// Default: 16 MiB.
    public var keyBytesPerSubject = 16 << 20
    /// How long a key is remembered, in time during which the hub runs.
    ///
    /// Default: 10 minutes.
    public var keyAge = Duration.seconds(600)
    /// The maximum number of topics with limits of their own.
    ///
    /// Default: 100,000.
    public var limitedTopics = 100_000

    /// Creates the defaults.
    public init() {}
}
