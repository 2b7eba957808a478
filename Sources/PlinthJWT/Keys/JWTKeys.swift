// SPDX-License-Identifier: Apache-2.0

#if JWT
import Crypto
public import Logging
import PlinthStreams

/// The keys that verify tokens: one public key, one secret, or a set.
///
/// Each key has exactly one algorithm, which the key or its owner decides. A token chooses among keys by its `kid`, and
/// is refused if its `alg` is not the key's.
public struct JWTKeys: Sendable {
    /// The most keys of a set: 100.
    public static let maximumKeys = 100
    /// The most bytes of a set: 256 KiB.
    public static let maximumSetLength = 256 << 10

    let keys: [JWTKey]
    /// Whether keys are chosen by `kid`.
    let isSet: Bool

    /// One public key in PEM.
    ///
    /// - Parameters:
    ///   - pem: A file with one block, `PUBLIC KEY` or `RSA PUBLIC KEY`: RSA of 2,048 to 8,192 bits, P-256, P-384, P-521
    ///     or Ed25519.
    ///   - algorithm: The algorithm of an RSA key; one that the key fixes may be named too. Default: RS256 for RSA.
    /// - Returns: The key, which verifies tokens whatever their `kid`.
    /// - Throws: ``JWTConfigurationError``, also for a private key and for a certificate.
    public static func publicKey(
        pem: [UInt8],
        algorithm: Algorithm? = nil
    ) throws(JWTConfigurationError) -> JWTKeys {
        let material = try PEMBlock(pem).publicKey()
        return JWTKeys(
            keys: [JWTKey(id: nil, try choose(algorithm, fixed: material.algorithm), material)],
            isSet: false
        )
    }

    /// One secret, shared with the issuer.
    ///
    /// - Parameters:
    ///   - bytes: The secret, at least as long as the algorithm's hash, which is 32 bytes for HS256. One line end at its
    ///     end is not part of it.
    ///   - algorithm: HS256, HS384 or HS512. Default: HS256.
    /// - Returns: The secret, which verifies tokens whatever their `kid`.
    /// - Throws: ``JWTConfigurationError``, also for a key in PEM, which is public or is to be kept from the hub.
    public static func secret(
        _ bytes: [UInt8],
        algorithm: Algorithm = .hs256
    ) throws(JWTConfigurationError) -> JWTKeys {
        let key = try checkedSecret(bytes, algorithm)
        return JWTKeys(keys: [JWTKey(id: nil, algorithm, .secret(key))], isSet: false)
    }

    /// A key set (RFC 7517, section 5).
    ///
    /// Keys that cannot be used here are skipped with a log line: secrets, private keys, keys for encryption, unknown
    /// kinds, curves and algorithms, and invalid values.
    ///
    /// - Parameters:
    ///   - json: The set, at most ``maximumSetLength`` bytes and ``maximumKeys`` keys.
    ///   - algorithm: The algorithm of RSA keys without `alg`. Default: RS256.
    ///   - logger: Receives a line for each skipped key. Default: a logger named `plinth.jwt`.
    /// - Returns: The usable keys; at least one.
    /// - Throws: ``JWTConfigurationError`` if the set is malformed, has a `kid` twice, or has no usable key.
    public static func set(
        _ json: [UInt8],
        algorithm: Algorithm = .rs256,
        logger: Logger = Logger(label: "plinth.jwt")
    ) throws(JWTConfigurationError) -> JWTKeys {
        let keys = try fetchedSet(json, algorithm, logger)
        guard !keys.keys.isEmpty else {
            throw JWTConfigurationError(.badSet, "the key set has no usable key")
        }
        return keys
    }

    /// As ``set(_:algorithm:logger:)``, but without a usable key too: an issuer may withdraw all its keys.
    static func fetchedSet(
        _ json: [UInt8],
        _ algorithm: Algorithm,
        _ logger: Logger
    ) throws(JWTConfigurationError) -> JWTKeys {
        try checkSetAlgorithm(algorithm)
        guard json.count <= maximumSetLength else {
            throw JWTConfigurationError(.badSet, "the key set has more than \(maximumSetLength) bytes")
        }
        let value: JSONValue
        do { value = try JSONValue(json) } catch {
            throw JWTConfigurationError(.badSet, "the key set is no valid JSON: \(error)")
        }
        guard let elements = value.object?["keys"]?.array else {
            throw JWTConfigurationError(.badSet, "the key set is no object with a list named `keys`")
        }
        guard elements.count <= maximumKeys else {
            throw JWTConfigurationError(.badSet, "the key set has more than \(maximumKeys) keys")
        }
        var keys: [JWTKey] = []
        for (index, element) in elements.enumerated() {
            let key: JWTKey
            do { key = try JWTKey(webKey: element, rsa: algorithm) } catch {
                let id = element.object?["kid"]?.string ?? ""
                logger.warning(
                    "skipped a key of a key set",
                    metadata: [
                        "index": "\(index)", "kid": "\(TerminalText.visible(id, upTo: 80))", "reason": "\(error)",
                    ]
                )
                continue
            }
            if let id = key.id, keys.contains(where: { isSame($0.id, id) }) {
                throw JWTConfigurationError(.badSet, "the key set has two keys of the `kid` \(JSONString.quoted(id))")
            }
            keys.append(key)
        }
        return JWTKeys(keys: keys, isSet: true)
    }

    static func checkSetAlgorithm(_ algorithm: Algorithm) throws(JWTConfigurationError) {
        guard algorithm.family == .rsa else {
            throw JWTConfigurationError(.badOptions, "\(algorithm) is no algorithm of the RSA keys of a set")
        }
    }

    /// The algorithm of one key in PEM.
    static func choose(_ wanted: Algorithm?, fixed: Algorithm?) throws(JWTConfigurationError) -> Algorithm {
        let algorithm = wanted ?? fixed ?? .rs256
        guard algorithm == fixed || (fixed == nil && algorithm.family == .rsa) else {
            let own = fixed?.description ?? "an RSA key's, RS256 to PS512"
            throw JWTConfigurationError(.badOptions, "the key's algorithm is \(own), not \(algorithm)")
        }
        return algorithm
    }

    /// The key of a secret.
    static func checkedSecret(_ bytes: [UInt8], _ algorithm: Algorithm) throws(JWTConfigurationError) -> SymmetricKey {
        guard algorithm.family == .secret else {
            throw JWTConfigurationError(.badOptions, "\(algorithm) is no algorithm of a secret")
        }
        var secret = bytes[...]
        if secret.last == UInt8(ascii: "\n") {
            secret.removeLast()
            if secret.last == UInt8(ascii: "\r") { secret.removeLast() }
        }
        guard secret.firstRange(of: "-----BEGIN".utf8) == nil else {
            throw JWTConfigurationError(.wrongKind, "the secret is a key in PEM, which may be public")
        }
        // RFC 7518, section 3.2: at least the size of the hash.
        guard secret.count >= algorithm.hash.rawValue / 8 else {
            throw JWTConfigurationError(
                .keySize,
                "the secret has \(secret.count) bytes; \(algorithm) needs at least \(algorithm.hash.rawValue / 8)"
            )
        }
        return SymmetricKey(data: secret)
    }
}

/// Whether two strings are the same bytes (RFC 7519, section 2: no normalization).
func isSame(_ left: String?, _ right: String) -> Bool { left?.utf8.elementsEqual(right.utf8) ?? false }
#endif
