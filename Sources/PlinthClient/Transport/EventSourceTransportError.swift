// SPDX-License-Identifier: Apache-2.0

/// Why a transport received no response; the source retries after it.
public struct EventSourceTransportError: Error, CustomStringConvertible {
    /// The error code, also that of the resulting ``EventSourceError``.
    public let code: EventSourceError.Code

    /// What went wrong, and what to do about it; the source puts the URL in front.
    public let message: String

    /// The underlying error.
    public let cause: (any Error)?

    /// Creates an error.
    ///
    /// - Parameters:
    ///   - code: The error code.
    ///   - message: What went wrong, and what to do about it.
    ///   - cause: The underlying error, if any. Default: nil.
    public init(_ code: EventSourceError.Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    /// The code, the message and the cause.
    public var description: String {
        cause.map { "\(code): \(message) (\($0))" } ?? "\(code): \(message)"
    }
}
