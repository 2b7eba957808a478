// SPDX-License-Identifier: Apache-2.0

#if JWT
import PlinthHub
import PlinthStreams

/// The three parts of a token in the compact form (RFC 7515, section 3.1), not verified.
struct CompactToken {
    /// The most bytes of a token: 8 KiB.
    static let maximumLength = 8 << 10
    static let tooLong = HubTokenError(.malformed, "the token has more than \(maximumLength) bytes")

    /// What a token says of itself; nothing of it is believed.
    struct Head {
        let algorithm: JWTKeys.Algorithm
        let keyID: String?
    }

    let headJSON: [UInt8]
    let claimsJSON: [UInt8]
    let signature: [UInt8]
    /// The bytes that are signed.
    let signed: ArraySlice<UInt8>

    /// Splits and decodes a token, without parsing its JSON.
    init(_ text: String) throws(HubTokenError) {
        guard text.utf8.count <= Self.maximumLength else { throw Self.tooLong }
        let bytes = Array(text.utf8)
        let parts = bytes.split(separator: UInt8(ascii: "."), maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, !parts[1].isEmpty else {
            throw HubTokenError(.malformed, "the token does not have three parts with dots between")
        }
        guard let head = Base64URL.decode(parts[0]), let claims = Base64URL.decode(parts[1]),
            let signature = Base64URL.decode(parts[2])
        else { throw HubTokenError(.malformed, "a part of the token is no base64url") }
        headJSON = head
        claimsJSON = claims
        self.signature = signature
        signed = bytes[..<parts[1].endIndex]
    }

    /// Reads the head; members that name or hold keys (`jku`, `jwk`, `x5u`, `x5c`) are not looked at.
    func head() throws(HubTokenError) -> Head {
        let members = try Self.object(headJSON, "head")
        // RFC 7515, section 4.1.11. No extension is understood.
        guard members["crit"] == nil else {
            throw HubTokenError(.malformed, "the token needs extensions (`crit`), and none is known")
        }
        try Self.checkType(members["typ"])
        guard let name = members["alg"]?.string else {
            throw HubTokenError(.malformed, "the token's head has no `alg`")
        }
        guard let algorithm = JWTKeys.Algorithm(name) else {
            throw HubTokenError(.algorithm, "the token's `alg` is not known, or none")
        }
        var keyID: String?
        if let value = members["kid"] {
            guard let text = value.string else { throw HubTokenError(.malformed, "the token's `kid` is no text") }
            keyID = text
        }
        return Head(algorithm: algorithm, keyID: keyID)
    }

    /// Refuses tokens that say to be of another kind (RFC 8725, section 3.11), such as a notice of a logout, which the
    /// same issuer signs for the same audience.
    private static func checkType(_ value: JSONValue?) throws(HubTokenError) {
        guard let value else { return }
        // RFC 7515, section 4.1.9: a media type, in which `application/` may be left out.
        let type = value.string?.lowercased()
        let known = ["jwt", "at+jwt", "application/jwt", "application/at+jwt"]
        guard let type, known.contains(type) else {
            throw HubTokenError(.malformed, "the token's `typ` is neither JWT nor at+jwt")
        }
    }

    /// Parses a part.
    static func object(_ json: [UInt8], _ name: String) throws(HubTokenError) -> JSONValue.Members {
        let value: JSONValue
        do { value = try JSONValue(json) } catch {
            throw HubTokenError(.malformed, "the token's \(name) is no valid JSON: \(error.reason)")
        }
        guard let members = value.object else {
            throw HubTokenError(.malformed, "the token's \(name) is no object")
        }
        return members
    }
}
#endif
