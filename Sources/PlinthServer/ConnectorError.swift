// SPDX-License-Identifier: Apache-2.0

#if Server

/// Why a connector could not be made or could not run.
public struct ConnectorError: Error, CustomStringConvertible {
    /// What kind of thing went wrong.
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
        /// An address cannot be listened on.
        public static let listen = Code(.listen)
        /// The connector has run before; each runs once.
        public static let alreadyRun = Code(.alreadyRun)

        /// A word for logs, such as `listen`.
        public var description: String { value.rawValue }
    }

    /// What kind of thing went wrong.
    public let code: Code
    /// What happened, where, and what to do.
    public let message: String
    /// The error underneath, if there is one.
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
