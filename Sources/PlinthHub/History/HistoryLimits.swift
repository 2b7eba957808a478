// SPDX-License-Identifier: Apache-2.0

/// How much a memory history holds, per topic or in total; the first limit reached applies.
public struct HistoryLimits: Sendable, Hashable {
    /// The maximum number of events, at least 0.
    public var events: Int { didSet { events = max(0, events) } }
    /// The maximum number of bytes, including about 200 of overhead per event.
    public var bytes: Int { didSet { bytes = max(0, bytes) } }
    /// The maximum time since an event was published; nil for no limit.
    public var age: Duration?

    /// Creates limits.
    ///
    /// - Parameters:
    ///   - events: The maximum number of events, at least 0. Default: no limit.
    ///   - bytes: The maximum number of bytes, including about 200 of overhead per event. Default: no limit.
    ///   - age: The maximum time since an event was published. Default: nil, no limit.
    public init(events: Int = .max, bytes: Int = .max, age: Duration? = nil) {
        self.events = max(0, events)
        self.bytes = max(0, bytes)
        self.age = age
    }

    /// The default limits of one topic: 10,000 events, 16 MiB.
    public static let defaultOfTopic = HistoryLimits(events: 10_000, bytes: 16 << 20)

    /// The default limits of all topics together: 1,000,000 events, 256 MiB.
    public static let defaultInTotal = HistoryLimits(events: 1_000_000, bytes: 256 << 20)
}
