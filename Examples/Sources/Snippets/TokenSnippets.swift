// SPDX-License-Identifier: Apache-2.0

import PlinthHub
import PlinthJWT

/// The code of the article "PlinthJWT".
func verify(_ token: String, file: [UInt8]) async throws -> HubGrant {
    let verifier = try JWTVerifier(keys: .publicKey(pem: file))
    let grant = try await verifier.verify(token)
    return grant
}

func verifyByKeySet(_ download: @escaping @Sendable () async throws -> [UInt8]) async throws -> JWTVerifier {
    let keys = try JWTKeySource { try await download() }
    var options = JWTOptions()
    options.issuers = ["https://id.example.org"]
    options.audiences = ["https://hub.example.org"]
    let verifier = try JWTVerifier(keys: keys, options: options)
    await keys.run()  // in a task of its own
    return verifier
}
