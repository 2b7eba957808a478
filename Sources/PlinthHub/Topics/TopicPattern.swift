// SPDX-License-Identifier: Apache-2.0

/// A pattern over the `/`-separated segments of topics.
///
/// | pattern | matches | does not match |
/// |---|---|---|
/// | `orders/*` | `orders/7` | `orders`, `orders/7/lines` |
/// | `orders/*/lines` | `orders/7/lines` | `orders/7` |
/// | `orders/**` | `orders/7`, `orders/7/lines` | `orders` |
/// | `**` | every topic | |
///
/// `*` matches one whole segment, which may be empty. `**` matches one or more, and must be the last.
public struct TopicPattern: TopicMatcher, Hashable, CustomStringConvertible {
    /// A segment, valid only during the call that passes it.
    enum Segment {
        case literal(UnsafeRawBufferPointer)
        case one
        case rest
    }

    private let text: [UInt8]

    /// Creates a pattern.
    ///
    /// - Parameter text: The pattern, as in the table; length and characters as for a ``Topic``.
    /// - Throws: ``TopicError`` if the length or a character is invalid, a wildcard is not a whole segment, or `**` is
    ///   not the last.
    public init(_ text: String) throws(TopicError) {
        try self.init(utf8: Array(text.utf8))
    }

    /// Creates a pattern from a part of a URL, percent-decoded exactly once.
    ///
    /// - Parameter text: The encoded pattern.
    /// - Throws: ``TopicError`` as ``init(_:)``, or if an escape is incomplete.
    public init(percentEncoded text: some StringProtocol) throws(TopicError) {
        try self.init(utf8: try Topic.decode(text))
    }

    /// Creates a pattern from UTF-8.
    ///
    /// - Parameter utf8: The pattern, as in the table.
    /// - Throws: ``TopicError`` as ``init(_:)``.
    public init(utf8: [UInt8]) throws(TopicError) {
        try Topic.check(utf8)
        var hasRest = false
        for part in utf8.split(separator: 0x2F, omittingEmptySubsequences: false) {
            if hasRest { throw TopicError(.badPattern, "`**` is not the last segment") }
            if part.elementsEqual([0x2A, 0x2A]) {
                hasRest = true
            } else if part.contains(0x2A), part.count > 1 {
                throw TopicError(.badPattern, "`*` is not a whole segment")
            }
        }
        self.text = utf8
    }

    /// Creates a pattern from bytes that are known to be valid.
    init(trusted text: [UInt8]) {
        self.text = text
    }

    /// `**`, which matches every topic.
    static let everything = TopicPattern(trusted: [0x2A, 0x2A])

    /// The pattern as text.
    public var description: String { String(decoding: text, as: UTF8.self) }

    /// The number of its segments.
    var segmentCount: Int { text.count { $0 == 0x2F } + 1 }

    /// Calls a closure with each segment, in order.
    func forEachSegment(_ body: (Segment) -> Void) {
        text.withUnsafeBytes { text in
            var start = 0
            while start <= text.count {
                var end = start
                while end < text.count, text[end] != 0x2F { end += 1 }
                let segment = UnsafeRawBufferPointer(rebasing: text[start..<end])
                if segment.elementsEqual([0x2A]) {
                    body(.one)
                } else if segment.elementsEqual([0x2A, 0x2A]) {
                    body(.rest)
                } else {
                    body(.literal(segment))
                }
                start = end + 1
            }
        }
    }

    /// Whether the pattern matches a topic.
    public func matches(_ topic: Topic) -> Bool {
        topic.utf8.withUnsafeBytes { topic in
            var start = 0
            var isAtEnd = false
            var isMatch = true
            forEachSegment { segment in
                guard isMatch, !isAtEnd else { return isMatch = false }
                if case .rest = segment { return isAtEnd = true }
                var end = start
                while end < topic.count, topic[end] != 0x2F { end += 1 }
                if case .literal(let bytes) = segment, !bytes.elementsEqual(topic[start..<end]) { isMatch = false }
                isAtEnd = end == topic.count
                start = end + 1
            }
            return isMatch && isAtEnd
        }
    }

    /// The pattern of the topics that both match; nil if there are none.
    func intersection(_ other: TopicPattern) -> TopicPattern? {
        let mine = text.split(separator: 0x2F, omittingEmptySubsequences: false)
        let others = other.text.split(separator: 0x2F, omittingEmptySubsequences: false)
        var common: [ArraySlice<UInt8>] = []
        for index in 0..<max(mine.count, others.count) {
            // A pattern that ends before the other matches none of its topics: its `**` would have been met.
            guard index < mine.count, index < others.count else { return nil }
            let (one, two) = (mine[index], others[index])
            // `**` stands for at least one segment, as there is at least one left in the other.
            if one.elementsEqual([0x2A, 0x2A]) { return Self.joined(common + others[index...]) }
            if two.elementsEqual([0x2A, 0x2A]) { return Self.joined(common + mine[index...]) }
            if one.elementsEqual([0x2A]) {
                common.append(two)
            } else if two.elementsEqual([0x2A]) || one.elementsEqual(two) {
                common.append(one)
            } else {
                return nil
            }
        }
        return Self.joined(common)
    }

    private static func joined(_ segments: [ArraySlice<UInt8>]) -> TopicPattern {
        TopicPattern(trusted: Array(segments.joined(separator: [0x2F])))
    }
}
