// SPDX-License-Identifier: Apache-2.0

/// The name of a topic: a byte string that is valid UTF-8 without control characters.
///
/// Names are compared and hashed by their bytes and never normalised: canonically equivalent names are different
/// topics. `/` separates segments, which matter only to ``TopicPattern``. A name is never interpreted as a pattern.
public struct Topic: Sendable, Hashable, CustomStringConvertible {
    /// The name in UTF-8.
    public let utf8: [UInt8]

    /// The maximum length of a name in bytes: 1,024.
    public static let maximumLength = 1024

    /// Creates a topic.
    ///
    /// - Parameter name: 1 to ``maximumLength`` bytes in UTF-8, without control characters; not `*`, which is reserved.
    /// - Throws: ``TopicError`` if the name is invalid.
    public init(_ name: String) throws(TopicError) {
        try self.init(utf8: Array(name.utf8))
    }

    /// Creates a topic from UTF-8.
    ///
    /// - Parameter utf8: 1 to ``maximumLength`` bytes of UTF-8, without control characters; not `*`, which is reserved.
    /// - Throws: ``TopicError`` if the name is invalid.
    public init(utf8: [UInt8]) throws(TopicError) {
        try Self.check(utf8)
        guard utf8 != [0x2A] else { throw TopicError(.reserved, "`*` is reserved") }
        self.utf8 = utf8
    }

    /// Creates a topic from bytes that are known to be valid.
    package init(trusted utf8: [UInt8]) {
        self.utf8 = utf8
    }

    /// Creates a topic from a part of a URL, percent-decoded exactly once (RFC 3986, section 2.1).
    ///
    /// - Parameter text: The encoded name. `+` stands for itself.
    /// - Throws: ``TopicError`` if an escape is incomplete or the decoded name is invalid.
    public init(percentEncoded text: some StringProtocol) throws(TopicError) {
        try self.init(utf8: try Self.decode(text))
    }

    /// The name as a string.
    ///
    /// Names with different bytes may be equal as strings; compare topics instead.
    public var name: String { String(decoding: utf8, as: UTF8.self) }

    /// The name.
    public var description: String { name }

    /// Whether the bytes are the same.
    public static func == (left: Topic, right: Topic) -> Bool {
        left.utf8 == right.utf8
    }

    /// Hashes the bytes.
    public func hash(into hasher: inout Hasher) {
        utf8.withUnsafeBytes { hasher.combine(bytes: $0) }
    }

    /// Checks the rules that names and patterns share.
    static func check(_ utf8: [UInt8]) throws(TopicError) {
        guard !utf8.isEmpty else { throw TopicError(.empty, "the name is empty") }
        guard utf8.count <= maximumLength else {
            throw TopicError(.tooLong, "the name is \(utf8.count) bytes long; the limit is \(maximumLength)")
        }
        var index = 0
        var isASCII = true
        while index < utf8.count {
            let byte = utf8[index]
            isASCII = isASCII && byte < 0x80
            // C0, DEL; and C1, which UTF-8 writes as C2 and 80 to 9F.
            let isControl =
                byte < 0x20 || byte == 0x7F
                || (byte == 0xC2 && index + 1 < utf8.count && (0x80...0x9F).contains(utf8[index + 1]))
            guard !isControl else {
                throw TopicError(.controlCharacter, "the name contains a control character at byte \(index)")
            }
            index += 1
        }
        guard isASCII || String(validating: utf8, as: UTF8.self) != nil else {
            throw TopicError(.notUTF8, "the name is not valid UTF-8")
        }
    }

    static func decode(_ text: some StringProtocol) throws(TopicError) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        var iterator = text.utf8.makeIterator()
        while let byte = iterator.next() {
            guard byte == 0x25 else {
                bytes.append(byte)
                continue
            }
            guard let high = iterator.next().flatMap(hexadecimal), let low = iterator.next().flatMap(hexadecimal) else {
                throw TopicError(.badEscape, "`%` is not followed by two hexadecimal digits")
            }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func hexadecimal(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }
}

/// An invalid topic name or pattern.
public struct TopicError: Error, Hashable, CustomStringConvertible {
    /// The reason.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The code as text.
        public let description: String

        /// The text is empty.
        public static let empty = Code(description: "empty")
        /// The text is longer than ``Topic/maximumLength`` bytes.
        public static let tooLong = Code(description: "too-long")
        /// The bytes are not valid UTF-8.
        public static let notUTF8 = Code(description: "not-utf8")
        /// The text contains a control character (Unicode category Cc).
        public static let controlCharacter = Code(description: "control-character")
        /// The name is reserved for the hub.
        public static let reserved = Code(description: "reserved")
        /// A percent escape is incomplete.
        public static let badEscape = Code(description: "bad-escape")
        /// A pattern's wildcard is not a whole segment, or its `**` is not the last.
        public static let badPattern = Code(description: "bad-pattern")
    }

    /// The reason.
    public let code: Code
    /// The reason in words.
    public let description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
