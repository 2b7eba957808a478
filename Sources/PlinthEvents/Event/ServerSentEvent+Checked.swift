// SPDX-License-Identifier: Apache-2.0

extension ServerSentEvent {
    /// The type of an event, checked to fit its field: not empty, no CR, no LF.
    ///
    /// A literal converts by itself; a string known at run time goes through ``init(_:)``.
    public struct EventType: Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
        /// The type as a string.
        public let rawValue: String

        /// Checks a string.
        ///
        /// - Parameter string: The type, not empty, without CR and LF.
        /// - Throws: ``ServerSentEventError`` with the code `invalidType` and the offset of the byte that cannot be sent.
        @inlinable
        public init(_ string: String) throws(ServerSentEventError) {
            if string.isEmpty { throw .emptyType }
            if let (byte, offset) = string.firstForbidden(allowingNull: true) { throw .type(byte, at: offset) }
            self.rawValue = string
        }

        /// Takes a literal.
        ///
        /// - Parameter value: The literal.
        /// - Precondition: The literal is not empty and has no line break.
        public init(stringLiteral value: String) {
            do { try self.init(value) } catch { preconditionFailure(error.message) }
        }

        /// Takes what the parser found, which cannot hold a line break.
        @inlinable
        init(unchecked string: String) {
            rawValue = string
        }

        /// The type as a string.
        public var description: String { rawValue }
    }

    /// The ID of an event, checked to fit its field: no CR, no LF, no NUL.
    ///
    /// A literal converts by itself; a string known at run time goes through ``init(_:)``. The empty ID is valid and
    /// makes clients forget the last event ID.
    public struct ID: Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
        /// The ID as a string.
        public let rawValue: String

        /// Checks a string.
        ///
        /// - Parameter string: The ID, without CR, LF and NUL.
        /// - Throws: ``ServerSentEventError`` with the code `invalidID` and the offset of the byte that cannot be sent.
        @inlinable
        public init(_ string: String) throws(ServerSentEventError) {
            if let (byte, offset) = string.firstForbidden(allowingNull: false) { throw .id(byte, at: offset) }
            self.rawValue = string
        }

        /// Takes a literal.
        ///
        /// - Parameter value: The literal.
        /// - Precondition: The literal has no line break and no NUL.
        public init(stringLiteral value: String) {
            do { try self.init(value) } catch { preconditionFailure(error.message) }
        }

        /// Takes what the parser found, which cannot hold a line break and was searched for NUL.
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
    ///
    /// - Parameters:
    ///   - lhs: A type.
    ///   - rhs: Another type.
    /// - Returns: True if the bytes are the same.
    public static func == (lhs: Self, rhs: Self) -> Bool { lhs.rawValue.hasSameBytes(as: rhs.rawValue) }

    /// Hashes the bytes.
    ///
    /// - Parameter hasher: Takes the bytes.
    public func hash(into hasher: inout Hasher) { rawValue.hashBytes(into: &hasher) }
}

extension ServerSentEvent.ID: Hashable {
    /// Whether two IDs have the same bytes.
    ///
    /// - Parameters:
    ///   - lhs: An ID.
    ///   - rhs: Another ID.
    /// - Returns: True if the bytes are the same.
    public static func == (lhs: Self, rhs: Self) -> Bool { lhs.rawValue.hasSameBytes(as: rhs.rawValue) }

    /// Hashes the bytes.
    ///
    /// - Parameter hasher: Takes the bytes.
    public func hash(into hasher: inout Hasher) { rawValue.hashBytes(into: &hasher) }
}
