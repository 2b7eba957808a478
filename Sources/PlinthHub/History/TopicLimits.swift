// SPDX-License-Identifier: Apache-2.0

/// The limits that one topic has in place of the history's limits of every topic.
public struct TopicLimits: Sendable, Hashable {
    /// The maximum number of events; nil for the history's limit.
    public var events: Int? { didSet { events = events.map { max(0, $0) } } }
    /// The maximum number of bytes; nil for the history's limit.
    public var bytes: Int? { didSet { bytes = bytes.map { max(0, $0) } } }
    /// The maximum time since an event was published; nil for the history's limit.
    public var age: Duration?

    /// Creates limits.
    ///
    /// - Parameters:
    ///   - events: The maximum number of events, at least 0. Default: nil, the history's limit.
    ///   - bytes: The maximum number of bytes, at least 0. Default: nil, the history's limit.
    ///   - age: The maximum time since an event was published. Default: nil, the history's limit.
    public init(events: Int? = nil, bytes: Int? = nil, age: Duration? = nil) {
        self.events = events.map { max(0, $0) }
        self.bytes = bytes.map { max(0, $0) }
        self.age = age
    }
}
