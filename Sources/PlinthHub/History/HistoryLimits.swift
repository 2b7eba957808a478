// SPDX-License-Identifier: Apache-2.0

/// How much a memory history holds, of one topic or in all; what comes first counts.
public struct HistoryLimits: Sendable, Hashable {
    /// Events, at least 0.
    public var events: Int
    /// Bytes, about 200 for each event included.
    public var bytes: Int
    /// The time since an event was published; nil for no limit.
    public var age: Duration?

    /// Limits.
    ///
    /// - Parameters:
    ///   - events: Events, at least 0; no limit unless given.
    ///   - bytes: Bytes, about 200 for each event included; no limit unless given.
    ///   - age: The time since an event was published; no limit unless given.
    public init(events: Int = .max, bytes: Int = .max, age: Duration? = nil) {
        self.events = max(0, events)
        self.bytes = max(0, bytes)
        self.age = age
    }

    /// What one topic holds unless told otherwise: 10,000 events, 16 MiB.
    public static let defaultOfTopic = HistoryLimits(events: 10_000, bytes: 16 << 20)

    /// What all topics hold together unless told otherwise: 1,000,000 events, 256 MiB.
    public static let defaultInTotal = HistoryLimits(events: 1_000_000, bytes: 256 << 20)
}
