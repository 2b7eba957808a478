// SPDX-License-Identifier: Apache-2.0

/// Why a parser failed: a line or an event exceeds its limit.
public struct ServerSentEventParserError: Error, Hashable, CustomStringConvertible {
    /// The kind of error: a bounded set, suitable as a metric label.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Value: String {
            case lineTooLong, eventTooLarge
        }

        private let value: Value

        /// A line has more bytes than `maximumLineSize`.
        public static let lineTooLong = Code(value: .lineTooLong)

        /// The data, type and ID of an event have more bytes than `maximumEventSize`.
        public static let eventTooLarge = Code(value: .eventTooLarge)

        /// The code's name.
        public var description: String { value.rawValue }
    }

    /// The kind of error.
    public let code: Code

    /// The limit in bytes.
    public let limit: Int

    /// The offset in bytes, from the start of the stream, of the line that exceeds the limit.
    public let byteOffset: Int

    /// The number of that line in the stream; the first is 1.
    public let lineNumber: Int

    /// What is too large, where, and how to fix it.
    public var message: String {
        let place = "line \(lineNumber), which begins at byte \(byteOffset) of the event stream"
        return if code == .lineTooLong {
            "A line is longer than \(limit) bytes: \(place). Raise maximumLineSize if the sender can be trusted."
        } else {
            "An event is larger than \(limit) bytes with \(place). Raise maximumEventSize if the sender can be trusted."
        }
    }

    /// The code and the message.
    public var description: String { "\(code): \(message)" }
}
