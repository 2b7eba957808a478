// SPDX-License-Identifier: Apache-2.0

/// The ID that clients know an event by, and resume from: a byte string that means something to its history only.
public struct EventID: Sendable, Hashable, CustomStringConvertible {
    /// The ID in UTF-8.
    public let utf8: [UInt8]

    /// The most bytes of an ID: 256.
    public static let maximumLength = 256

    /// An ID that a client sent, or that a publisher was allowed to choose.
    ///
    /// Nil if it is not that.
    ///
    /// - Parameter utf8: 1 to ``maximumLength`` bytes of UTF-8 without control characters.
    public init?(utf8: [UInt8]) {
        guard utf8.count <= Self.maximumLength, (try? Topic.check(utf8)) != nil else { return nil }
        self.utf8 = utf8
    }

    /// An ID of a history's own making.
    ///
    /// - Parameter trusted: 1 to ``maximumLength`` bytes of UTF-8 without control characters.
    public init(trusted: [UInt8]) {
        utf8 = trusted
    }

    /// The text form.
    public var description: String { String(decoding: utf8, as: UTF8.self) }

    /// Whether the bytes are the same.
    public static func == (left: EventID, right: EventID) -> Bool { left.utf8 == right.utf8 }

    /// Hashes the bytes.
    public func hash(into hasher: inout Hasher) {
        utf8.withUnsafeBytes { hasher.combine(bytes: $0) }
    }

    /// Whether a publisher may choose it: neither `earliest` nor anything that begins with `#` is for them.
    var isReserved: Bool { utf8.first == 0x23 || utf8 == Array("earliest".utf8) }
}

/// A place in the one order of a hub's events: the number of an event, or of the last one that somebody has seen.
///
/// Events are numbered from 1 over all topics; 0 lies before the first.
public struct Position: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The number.
    public var number: UInt64

    /// A position.
    public init(_ number: UInt64) {
        self.number = number
    }

    /// Before the first event.
    public static let zero = Position(0)

    /// Whether the left one comes first.
    public static func < (left: Position, right: Position) -> Bool { left.number < right.number }

    /// The text form.
    public var description: String { "\(number)" }
}
