// SPDX-License-Identifier: Apache-2.0

/// Why an event cannot be built.
public struct ServerSentEventError: Error, Hashable, CustomStringConvertible {
    /// The kind of error: a bounded set, suitable as a metric label.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Value: String {
            case invalidType, invalidID, invalidRetry
        }

        private let value: Value

        /// The type is empty, or contains CR or LF.
        public static let invalidType = Code(value: .invalidType)

        /// The ID contains CR, LF or NUL.
        public static let invalidID = Code(value: .invalidID)

        /// The reconnection time is not a whole number of milliseconds from 0 to 2^53 − 1.
        public static let invalidRetry = Code(value: .invalidRetry)

        /// The code's name.
        public var description: String { value.rawValue }
    }

    /// The kind of error.
    public let code: Code

    /// What is wrong, where, and how to fix it.
    public let message: String

    /// The UTF-8 offset of the forbidden byte; nil if no single byte is at fault.
    public let byteOffset: Int?

    /// The code and the message.
    public var description: String { "\(code): \(message)" }
}

extension ServerSentEventError {
    @usableFromInline
    static var emptyType: Self {
        Self(
            code: .invalidType,
            message: "The event type is empty; leave it out (nil) for the default type, message.",
            byteOffset: nil
        )
    }

    @usableFromInline
    static func type(_ byte: UInt8, at offset: Int) -> Self {
        Self(
            code: .invalidType,
            message: "The event type has a \(name(byte)) at byte \(offset), which would end its field; remove it.",
            byteOffset: offset
        )
    }

    @usableFromInline
    static func id(_ byte: UInt8, at offset: Int) -> Self {
        let why = byte == 0 ? "for which clients ignore the whole ID" : "which would end its field"
        return Self(
            code: .invalidID,
            message: "The event ID has a \(name(byte)) at byte \(offset), \(why); remove it.",
            byteOffset: offset
        )
    }

    @usableFromInline
    static func retry(_ duration: Duration) -> Self {
        Self(
            code: .invalidRetry,
            message: """
                The reconnection time \(duration) is not a whole number of milliseconds from 0 to \
                \(ServerSentEvent.maximumRetry); round it or leave it out (nil).
                """,
            byteOffset: nil
        )
    }

    private static func name(_ byte: UInt8) -> String {
        switch byte {
        case 0x0A: "line feed (LF)"
        case 0x0D: "carriage return (CR)"
        default: "NUL"
        }
    }
}
