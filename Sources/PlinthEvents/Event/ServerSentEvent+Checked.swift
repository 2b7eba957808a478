// SPDX-License-Identifier: Apache-2.0

extension ServerSentEvent {
    /// A validated event type: not empty, without CR or LF.
    ///
    /// Literals convert implicitly. Validate a string that is only known at run time with ``init(_:)``.
    public struct EventType: Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
        /// The type as a string.
        public let rawValue: String

        /// Validates a string.
        ///
        /// - Parameter string: The type: not empty, without CR or LF.
        /// - Throws: ``ServerSentEventError`` with the code `invalidType` and the offset of the forbidden byte; nil for
        ///   an empty string.
        @inlinable
        public init(_ string: String) throws(ServerSentEventError) {
            if string.isEmpty { throw .emptyType }
            if let (byte, offset) = string.firstForbidden(allowingNull: true) { throw .type(byte, at: offset) }
            self.rawValue = string
        }

        /// Creates a type from a literal.
        ///
        /// - Parameter value: The literal.
        /// - Precondition: The literal is not empty and has no line break.
        public init(stringLiteral value: String) {
            do { try self.init(value) } catch { preconditionFailure(error.message) }
        }

        /// Skips validation, for values from the parser: they cannot contain a line break.
        @inlinable
        init(unchecked string: String) {
            rawValue = string
        }

        /// The type as a string.
        public var description: String { rawValue }
    }

    /// A validated event ID: without CR, LF or NUL.
    ///
    /// Literals convert implicitly. Validate a string that is only known at run time with ``init(_:)``. The empty ID is
    /// valid and resets the client's last event ID.
    public struct ID: Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
        /// The ID as a string.
        public let rawValue: String

        /// Validates a string.
        ///
        /// - Parameter string: The ID, without CR, LF or NUL.
        /// - Throws: ``ServerSentEventError`` with the code `invalidID` and the offset of the forbidden byte.
        @inlinable
        public init(_ string: String) throws(ServerSentEventError) {
            if let (byte, offset) = string.firstForbidden(allowingNull: false) { throw .id(byte, at: offset) }
            self.rawValue = string
        }

        /// Creates an ID from a literal.
        ///
        /// - Parameter value: The literal.
        /// - Precondition: The literal has no line break and no NUL.
        public init(stringLiteral value: String) {
            do { try self.init(value) } catch { preconditionFailure(error.message) }
        }

        /// Skips validation, for values from the parser: they contain neither a line break nor NUL.
        @inlinable
        init(unchecked string: String) {
            rawValue = string
        }

        /// The ID as a string.
        public var description: String { rawValue }
    }
}

extension ServerSentEvent.EventType: Hashable {
    /// Whether two types have the same bytes.
    public static func == (lhs: Self, rhs: Self) -> Bool { lhs.rawValue.hasSameBytes(as: rhs.rawValue) }

    /// Hashes the bytes.
    public func hash(into hasher: inout Hasher) { rawValue.hashBytes(into: &hasher) }
}

extension ServerSentEvent.ID: Hashable {
    /// Whether two IDs have the same bytes.
    public static func == (lhs: Self, rhs: Self) -> Bool { lhs.rawValue.hasSameBytes(as: rhs.rawValue) }

    /// Hashes the bytes.
    public func hash(into hasher: inout Hasher) { rawValue.hashBytes(into: &hasher) }
}
