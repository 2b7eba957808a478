// SPDX-License-Identifier: Apache-2.0

#if Server

/// What a client may do on an HTTP/2 connection in 30 s; beyond that the connection and its streams end, with GOAWAY and
/// ENHANCE_YOUR_CALM (RFC 9113, section 7).
///
/// Limits are clamped to 1 to 100,000. A connection reserves 8 bytes for each reset and control frame that is allowed.
public struct HTTP2Limits: Sendable, Hashable {
    /// The most streams that a client resets (`RST_STREAM`; CVE-2023-44487).
    ///
    /// A proxy resets a stream for each of its clients that leaves, so this should not be below the number of streams.
    ///
    /// Default: 512, twice the streams that a connection may have open.
    public var maximumResets: Int { didSet { maximumResets = Self.clamped(maximumResets) } }
    /// The most `SETTINGS`, `PING` and `PRIORITY` frames (CVE-2019-9512, CVE-2019-9515).
    ///
    /// Default: 200.
    public var maximumControlFrames: Int { didSet { maximumControlFrames = Self.clamped(maximumControlFrames) } }
    /// The most streams that are refused because too many are open.
    ///
    /// Default: 200.
    public var maximumRefusedStreams: Int { didSet { maximumRefusedStreams = Self.clamped(maximumRefusedStreams) } }

    /// Creates limits; parameters default to the values documented with the properties.
    public init(maximumResets: Int = 512, maximumControlFrames: Int = 200, maximumRefusedStreams: Int = 200) {
        self.maximumResets = Self.clamped(maximumResets)
        self.maximumControlFrames = Self.clamped(maximumControlFrames)
        self.maximumRefusedStreams = Self.clamped(maximumRefusedStreams)
    }

    /// The time for which the limits hold.
    static let window = Duration.seconds(30)

    /// A connection reserves memory for the times of as many frames.
    private static func clamped(_ number: Int) -> Int { min(max(1, number), 100_000) }
}

#endif
