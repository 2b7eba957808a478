// SPDX-License-Identifier: Apache-2.0

#if JWT
import PlinthHub
import PlinthStreams

extension JWTKeys {
    /// The key of a token.
    enum Choice {
        case key(JWTKey)
        /// The set has no such key; a newer set may have.
        case unknown
    }

    /// Chooses the key that is to verify a token.
    ///
    /// - Parameters:
    ///   - id: The token's `kid`; ignored unless this is a set.
    ///   - algorithm: The token's `alg`.
    /// - Returns: The key, whose algorithm is that of the token.
    /// - Throws: `HubTokenError` if no newer set could change the answer.
    func choose(_ id: String?, _ algorithm: Algorithm) throws(HubTokenError) -> Choice {
        var found: JWTKey?
        if !isSet {
            found = keys.first
        } else if let id {
            found = keys.first { isSame($0.id, id) }
        } else {
            let fitting = keys.filter { $0.algorithm == algorithm }
            guard fitting.count <= 1 else {
                throw HubTokenError(.key, "the token has no `kid`, and several keys fit \(algorithm)")
            }
            found = fitting.first
        }
        guard let found else { return .unknown }
        guard found.algorithm == algorithm else {
            throw HubTokenError(.algorithm, "the token's `alg` is \(algorithm), and its key's is \(found.algorithm)")
        }
        return .key(found)
    }
}
#endif
