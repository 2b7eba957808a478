// SPDX-License-Identifier: Apache-2.0

/// The ID by which clients identify an event and resume: a byte string that only its history can interpret.
public struct EventID: Sendable, Hashable, CustomStringConvertible {
    /// The ID in UTF-8.
    public let utf8: [UInt8]

    /// The maximum length of an ID in bytes: 256.
    public static let maximumLength = 256

    /// Creates an ID from bytes that a client sent or a publisher chose.
    ///
    /// Returns nil if the bytes are invalid.
    ///
    /// - Parameter utf8: 1 to ``maximumLength`` bytes of UTF-8 without control characters.
    public init?(utf8: [UInt8]) {
        guard utf8.count <= Self.maximumLength, (try? Topic.check(utf8)) != nil else { return nil }
        self.utf8 = utf8
    }

    /// Creates an ID that a history assigns, without validating it.
    ///
    /// - Parameter trusted: 1 to ``maximumLength`` bytes of UTF-8 without control characters.
    public init(trusted: [UInt8]) {
        utf8 = trusted
    }

    /// The ID as text.
    public var description: String { String(decoding: utf8, as: UTF8.self) }

    /// Whether the bytes are the same.
    public static func == (left: EventID, right: EventID) -> Bool { left.utf8 == right.utf8 }

    /// Hashes the bytes.
    public func hash(into hasher: inout Hasher) {
        utf8.withUnsafeBytes { hasher.combine(bytes: $0) }
    }

    /// Whether publishers must not choose this ID: it is `earliest`, or begins with `#`.
    var isReserved: Bool { utf8.first == 0x23 || utf8 == Array("earliest".utf8) }
}

/// A position in the single order of a hub's events: that of an event, or of the last event that a reader has.
///
/// Events are numbered from 1 across all topics; 0 precedes the first.
public struct Position: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The number.
    public var number: UInt64

    /// Creates a position.
    public init(_ number: UInt64) {
        self.number = number
    }

    /// The position before the first event.
    public static let zero = Position(0)

    /// Whether the left position comes first.
    public static func < (left: Position, right: Position) -> Bool { left.number < right.number }

    /// The number as text.
    public var description: String { "\(number)" }
}
