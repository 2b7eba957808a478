// SPDX-License-Identifier: Apache-2.0

#if Server

/// How much each subject may publish in a time, and how often each address may send a token that is refused.
///
/// An anonymous request counts for its address, unless there is no authorizer: then nothing is counted.
public struct HubLimits: Sendable, Hashable {
    /// The most publishing requests of a subject in a second, and as many at once; for an uploaded event stream, events.
    ///
    /// More is 429 with `Retry-After`; an upload is read no faster.
    ///
    /// Default: nil, no limit.
    public var publishesPerSecond: Int?
    /// The most bytes that a subject publishes in a second, and as many at once.
    ///
    /// A larger event is taken if nothing else was for a while, and paid back by waiting.
    ///
    /// Default: nil, no limit.
    public var bytesPerSecond: Int?
    /// The most refused tokens of an address in a minute; further ones are 429 before their signature is looked at.
    ///
    /// Default: 60; nil for no limit.
    public var refusedTokensPerMinute: Int?

    /// Creates limits; parameters default to the values documented with the properties.
    public init(publishesPerSecond: Int? = nil, bytesPerSecond: Int? = nil, refusedTokensPerMinute: Int? = 60) {
        self.publishesPerSecond = publishesPerSecond
        self.bytesPerSecond = bytesPerSecond
        self.refusedTokensPerMinute = refusedTokensPerMinute
    }
}

#endif
