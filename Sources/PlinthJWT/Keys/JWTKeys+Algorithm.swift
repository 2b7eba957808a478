// SPDX-License-Identifier: Apache-2.0

#if JWT
extension JWTKeys {
    /// A signature algorithm (RFC 7518, section 3.1, and RFC 8037); `none` is not one.
    public struct Algorithm: Sendable, Hashable, CaseIterable, CustomStringConvertible {
        enum Family: Sendable { case secret, rsa, ellipticCurve, edwards }
        enum Hash: Int, Sendable { case sha256 = 256, sha384 = 384, sha512 = 512 }

        let family: Family
        /// Of a secret, RSA or elliptic curve; Ed25519 has its own.
        let hash: Hash
        /// Whether RSA is padded by PSS rather than PKCS #1 v1.5.
        let isPSS: Bool
        /// The name as in a token's `alg`, such as `RS256`.
        public let description: String

        private init(_ description: String, _ family: Family, _ hash: Hash, isPSS: Bool = false) {
            self.description = description
            self.family = family
            self.hash = hash
            self.isPSS = isPSS
        }

        /// HMAC with SHA-256.
        public static let hs256 = Algorithm("HS256", .secret, .sha256)
        /// HMAC with SHA-384.
        public static let hs384 = Algorithm("HS384", .secret, .sha384)
        /// HMAC with SHA-512.
        public static let hs512 = Algorithm("HS512", .secret, .sha512)
        /// RSA, padded by PKCS #1 v1.5, with SHA-256.
        public static let rs256 = Algorithm("RS256", .rsa, .sha256)
        /// RSA, padded by PKCS #1 v1.5, with SHA-384.
        public static let rs384 = Algorithm("RS384", .rsa, .sha384)
        /// RSA, padded by PKCS #1 v1.5, with SHA-512.
        public static let rs512 = Algorithm("RS512", .rsa, .sha512)
        /// RSA, padded by PSS, with SHA-256.
        public static let ps256 = Algorithm("PS256", .rsa, .sha256, isPSS: true)
        /// RSA, padded by PSS, with SHA-384.
        public static let ps384 = Algorithm("PS384", .rsa, .sha384, isPSS: true)
        /// RSA, padded by PSS, with SHA-512.
        public static let ps512 = Algorithm("PS512", .rsa, .sha512, isPSS: true)
        /// ECDSA on P-256 with SHA-256.
        public static let es256 = Algorithm("ES256", .ellipticCurve, .sha256)
        /// ECDSA on P-384 with SHA-384.
        public static let es384 = Algorithm("ES384", .ellipticCurve, .sha384)
        /// ECDSA on P-521 with SHA-512.
        public static let es512 = Algorithm("ES512", .ellipticCurve, .sha512)
        /// Ed25519.
        public static let edDSA = Algorithm("EdDSA", .edwards, .sha512)

        /// All of them.
        public static let allCases: [Algorithm] = [
            .hs256, .hs384, .hs512, .rs256, .rs384, .rs512, .ps256, .ps384, .ps512, .es256, .es384, .es512, .edDSA,
        ]

        /// The algorithm of a name; nil if there is none.
        ///
        /// - Parameter name: The name as in a token's `alg`; case matters.
        public init?(_ name: String) {
            guard let found = Self.allCases.first(where: { $0.description == name }) else { return nil }
            self = found
        }
    }
}
#endif
