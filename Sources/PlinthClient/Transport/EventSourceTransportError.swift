// SPDX-License-Identifier: Apache-2.0

/// Why a transport brought no response, for errors that a source tries again after.
public struct EventSourceTransportError: Error, CustomStringConvertible {
    /// What is wrong, in short; that of the ``EventSourceError`` that is made of it.
    public let code: EventSourceError.Code

    /// What is wrong, and what to do about it; the URL is put in front of it.
    public let message: String

    /// The error that caused it.
    public let cause: (any Error)?

    /// Creates an error.
    ///
    /// - Parameters:
    ///   - code: What is wrong, in short.
    ///   - message: What is wrong, and what to do about it.
    ///   - cause: The error that caused it, if there is one; nil unless given.
    public init(_ code: EventSourceError.Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    /// The code, the message, and what the cause says.
    public var description: String {
        cause.map { "\(code): \(message) (\($0))" } ?? "\(code): \(message)"
    }
}
