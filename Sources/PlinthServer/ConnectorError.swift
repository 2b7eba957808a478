// SPDX-License-Identifier: Apache-2.0

#if Server

/// Why a connector could not be created or run.
public struct ConnectorError: Error, CustomStringConvertible {
    /// The kind of a connector error.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Value: String {
            case tlsIdentity = "tls-identity"
            case listen
            case alreadyRun = "already-run"
        }

        private let value: Value

        private init(_ value: Value) {
            self.value = value
        }

        /// A certificate or key cannot be used.
        public static let tlsIdentity = Code(.tlsIdentity)
        /// The connector cannot listen on an address.
        public static let listen = Code(.listen)
        /// The connector has run before; each runs once.
        public static let alreadyRun = Code(.alreadyRun)

        /// The code as it appears in logs, such as `listen`.
        public var description: String { value.rawValue }
    }

    /// The kind of error.
    public let code: Code
    /// What happened, where, and what to do.
    public let message: String
    /// The underlying error, if any.
    public let cause: (any Error)?

    init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    /// The message.
    public var description: String { message }
}

#endif
