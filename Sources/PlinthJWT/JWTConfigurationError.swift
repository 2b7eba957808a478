// SPDX-License-Identifier: Apache-2.0

#if JWT
/// Why keys or options cannot be used.
public struct JWTConfigurationError: Error, Hashable, CustomStringConvertible {
    /// The kind of reason: a bounded set.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The code as text.
        public let description: String

        /// The text is no key, or a key of an unknown kind.
        public static let badKey = Code(description: "bad-key")
        /// A key is shorter or longer than allowed.
        public static let keySize = Code(description: "key-size")
        /// It is a private key where a public one is expected, or the other way round, or a key instead of a secret.
        public static let wrongKind = Code(description: "wrong-kind")
        /// A key set is no JSON of the expected form, too large, without a usable key, or has a `kid` twice.
        public static let badSet = Code(description: "bad-set")
        /// An option is missing, out of range, or does not fit the key.
        public static let badOptions = Code(description: "bad-options")
        /// A token cannot be issued with these claims.
        public static let badClaims = Code(description: "bad-claims")
    }

    /// The kind of reason.
    public let code: Code
    /// The reason in words, and what to do; it quotes no part of a key.
    public let description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
#endif
