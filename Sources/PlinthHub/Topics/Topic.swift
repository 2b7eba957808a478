// SPDX-License-Identifier: Apache-2.0

/// The name of a topic: a byte string that is valid UTF-8 without control characters.
///
/// Names are compared and hashed by their bytes and never normalised: two names that merely look alike are two topics.
/// `/` separates segments, which only ``TopicPattern`` looks at. A name is never a pattern, whatever characters it has.
public struct Topic: Sendable, Hashable, CustomStringConvertible {
    /// The name in UTF-8.
    public let utf8: [UInt8]

    /// The most bytes of a name: 1,024.
    public static let maximumLength = 1024

    /// A topic of this name.
    ///
    /// - Parameter name: 1 to ``maximumLength`` bytes in UTF-8, no control characters, not `*`, which is reserved.
    /// - Throws: ``TopicError`` if it is none of these.
    public init(_ name: String) throws(TopicError) {
        try self.init(utf8: Array(name.utf8))
    }

    /// A topic of this name.
    ///
    /// - Parameter utf8: 1 to ``maximumLength`` bytes of UTF-8, no control characters, not `*`, which is reserved.
    /// - Throws: ``TopicError`` if they are none of these.
    public init(utf8: [UInt8]) throws(TopicError) {
        try Self.check(utf8)
        guard utf8 != [0x2A] else { throw TopicError(.reserved, "`*` is reserved") }
        self.utf8 = utf8
    }

    /// A topic that was one before.
    init(trusted utf8: [UInt8]) {
        self.utf8 = utf8
    }

    /// A topic from a part of a URL, percent-decoded exactly once (RFC 3986, section 2.1).
    ///
    /// - Parameter text: The encoded name. `+` stands for itself.
    /// - Throws: ``TopicError`` if an escape is not complete, or if what comes out is no name.
    public init(percentEncoded text: some StringProtocol) throws(TopicError) {
        try self.init(utf8: try Self.decode(text))
    }

    /// The name.
    ///
    /// Two that differ in their bytes may be equal as strings: compare topics, not this.
    public var name: String { String(decoding: utf8, as: UTF8.self) }

    /// The text form.
    public var description: String { name }

    /// Whether the bytes are the same.
    public static func == (left: Topic, right: Topic) -> Bool {
        left.utf8 == right.utf8
    }

    /// Hashes the bytes.
    public func hash(into hasher: inout Hasher) {
        utf8.withUnsafeBytes { hasher.combine(bytes: $0) }
    }

    /// What names and patterns have in common.
    static func check(_ utf8: [UInt8]) throws(TopicError) {
        guard !utf8.isEmpty else { throw TopicError(.empty, "the name is empty") }
        guard utf8.count <= maximumLength else {
            throw TopicError(.tooLong, "the name has \(utf8.count) bytes, more than \(maximumLength)")
        }
        var index = 0
        while index < utf8.count {
            let byte = utf8[index]
            // C0, DEL; and C1, which UTF-8 writes as C2 and 80 to 9F.
            let isControl =
                byte < 0x20 || byte == 0x7F
                || (byte == 0xC2 && index + 1 < utf8.count && (0x80...0x9F).contains(utf8[index + 1]))
            guard !isControl else {
                throw TopicError(.controlCharacter, "the name has a control character at byte \(index)")
            }
            index += 1
        }
        guard String(validating: utf8, as: UTF8.self) != nil else {
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

/// A name that cannot be a topic, or a pattern that cannot match one.
public struct TopicError: Error, Hashable, CustomStringConvertible {
    /// What is wrong with it.
    public enum Code: Sendable, Hashable {
        /// There is nothing in it.
        case empty
        /// It has more than ``Topic/maximumLength`` bytes.
        case tooLong
        /// It is not UTF-8.
        case notUTF8
        /// It has a control character (Unicode category Cc).
        case controlCharacter
        /// It is reserved for the hub.
        case reserved
        /// A percent escape is not complete.
        case badEscape
        /// A pattern has a wildcard where none may stand.
        case badPattern
    }

    /// What is wrong.
    public let code: Code
    /// What is wrong, in words.
    public let description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
