// SPDX-License-Identifier: Apache-2.0

/// A pattern over the segments of topics, which `/` separates.
///
/// | pattern | matches | does not match |
/// |---|---|---|
/// | `orders/*` | `orders/7` | `orders`, `orders/7/lines` |
/// | `orders/*/lines` | `orders/7/lines` | `orders/7` |
/// | `orders/**` | `orders/7`, `orders/7/lines` | `orders` |
/// | `**` | every topic | |
///
/// `*` stands for one whole segment, also an empty one; `**`, only as the last, for one or more.
public struct TopicPattern: TopicMatcher, Hashable, CustomStringConvertible {
    private enum Segment: Hashable {
        case literal([UInt8])
        case one
        case rest
    }

    private let segments: [Segment]
    private let text: [UInt8]

    /// A pattern.
    ///
    /// - Parameter text: As in the table; bytes, length and characters as those of a ``Topic``.
    /// - Throws: ``TopicError`` if a name could not have these characters, or if a wildcard is not a whole segment or `**`
    ///   not the last.
    public init(_ text: String) throws(TopicError) {
        try self.init(utf8: Array(text.utf8))
    }

    /// A pattern from a part of a URL, percent-decoded exactly once.
    ///
    /// - Parameter text: The encoded pattern.
    /// - Throws: ``TopicError`` as ``init(_:)``, or if an escape is not complete.
    public init(percentEncoded text: some StringProtocol) throws(TopicError) {
        try self.init(utf8: try Topic.decode(text))
    }

    /// A pattern.
    ///
    /// - Parameter utf8: As in the table, in UTF-8.
    /// - Throws: ``TopicError`` as ``init(_:)``.
    public init(utf8: [UInt8]) throws(TopicError) {
        try Topic.check(utf8)
        var segments: [Segment] = []
        for part in utf8.split(separator: 0x2F, omittingEmptySubsequences: false) {
            if case .rest = segments.last { throw TopicError(.badPattern, "`**` is not the last segment") }
            if part.elementsEqual([0x2A]) {
                segments.append(.one)
            } else if part.elementsEqual([0x2A, 0x2A]) {
                segments.append(.rest)
            } else if part.contains(0x2A) {
                throw TopicError(.badPattern, "`*` is not a whole segment")
            } else {
                segments.append(.literal(Array(part)))
            }
        }
        self.segments = segments
        self.text = utf8
    }

    /// The text form.
    public var description: String { String(decoding: text, as: UTF8.self) }

    /// Whether the pattern matches a topic.
    public func matches(_ topic: Topic) -> Bool {
        var rest = topic.utf8[...]
        var isAtEnd = false
        for segment in segments {
            if isAtEnd { return false }
            if case .rest = segment { return true }
            let end = rest.firstIndex(of: 0x2F)
            if case .literal(let bytes) = segment, !rest[..<(end ?? rest.endIndex)].elementsEqual(bytes) {
                return false
            }
            if let end { rest = rest[(end + 1)...] } else { isAtEnd = true }
        }
        return isAtEnd
    }
}
