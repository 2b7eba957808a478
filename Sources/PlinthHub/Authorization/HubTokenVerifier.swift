// SPDX-License-Identifier: Apache-2.0

/// Turns the text of a token, such as a JWT or an API key, into a grant.
///
/// It needs no request, so every front and every server can call it: an authorizer wraps it.
public protocol HubTokenVerifier: Sendable {
    /// Verifies a token without waiting.
    ///
    /// - Parameter token: The token.
    /// - Returns: Its grant; nil if the answer has to wait, as for keys that are to be fetched.
    /// - Throws: ``HubTokenError`` if the token is refused.
    func verifyNow(_ token: String) throws -> HubGrant?

    /// Verifies a token, after waiting if necessary.
    ///
    /// - Parameter token: The token.
    /// - Returns: Its grant.
    /// - Throws: ``HubTokenError`` if the token is refused; `CancellationError` if the task is cancelled.
    func verify(_ token: String) async throws -> HubGrant

    /// The grant of a token that was verified before, found without looking at its signature.
    ///
    /// - Parameter token: The token.
    /// - Returns: The grant, also of one that has expired since; nil if it is not remembered. Default: nil.
    func remembered(_ token: String) -> HubGrant?

    /// Whether the key that verified a grant's token is still there; where it is gone, open streams end.
    ///
    /// - Parameter grant: A grant, perhaps of another verifier.
    /// - Returns: Default: true.
    func isCurrent(_ grant: HubGrant) -> Bool
}

extension HubTokenVerifier {
    /// Returns nil: nothing is remembered.
    public func remembered(_ token: String) -> HubGrant? { nil }

    /// Returns true: keys do not change.
    public func isCurrent(_ grant: HubGrant) -> Bool { true }
}

/// Why a token is refused.
public struct HubTokenError: Error, CustomStringConvertible {
    /// The kind of reason: a bounded set, suitable as a metric label.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The code as text, as the hub's endpoints send it.
        public let description: String

        /// It is no token of a known form, or longer than allowed.
        public static let malformed = Code(description: "token-malformed")
        /// It is signed with an algorithm that its key does not have, or with none.
        public static let algorithm = Code(description: "token-algorithm")
        /// No key is known by its `kid`, or it needs one.
        public static let key = Code(description: "token-key")
        /// Its signature is not the key's, or it is not a known API key.
        public static let signature = Code(description: "token-signature")
        /// It has expired, or never expires.
        public static let expired = Code(description: "token-expired")
        /// It is not valid yet.
        public static let early = Code(description: "token-early")
        /// It lives longer than allowed.
        public static let lifetime = Code(description: "token-lifetime")
        /// It is of another issuer.
        public static let issuer = Code(description: "token-issuer")
        /// It is for another audience.
        public static let audience = Code(description: "token-audience")
        /// Its subject or its rights cannot be read.
        public static let claim = Code(description: "token-claim")
        /// Its subject was revoked after it was issued.
        public static let revoked = Code(description: "token-revoked")
        /// The keys that might verify it cannot be fetched now: another attempt may succeed.
        public static let keysUnavailable = Code(description: "keys-unavailable")
    }

    /// The kind of reason.
    public let code: Code
    /// The reason in words, for whoever sent the token; it quotes no part of the token's signature.
    public let message: String
    /// Of a token that is good but for having expired: the grant that it was; else nil.
    public let expired: HubGrant?

    /// Creates an error.
    ///
    /// - Parameters:
    ///   - code: The kind of reason.
    ///   - message: The reason in words.
    ///   - expired: The grant of a token that is good but for having expired. Default: nil.
    public init(_ code: Code, _ message: String, expired: HubGrant? = nil) {
        self.code = code
        self.message = message
        self.expired = expired
    }

    /// The code and the message.
    public var description: String { "\(code): \(message)" }
}
