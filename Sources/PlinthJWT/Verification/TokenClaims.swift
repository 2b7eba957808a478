// SPDX-License-Identifier: Apache-2.0

#if JWT
import PlinthHub
import PlinthStreams

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// The registered claims of a token (RFC 7519, section 4.1), read but not compared with anything.
struct TokenClaims {
    /// The most bytes of `sub`: 255.
    static let maximumSubjectLength = 255
    /// The last time that a claim can name, in seconds: the end of the year 9999.
    static let lastTime = 253_402_300_799.0

    /// The names that are read here.
    static let registered: Set<String> = ["iss", "sub", "aud", "exp", "nbf", "iat"]

    let issuer: String?
    /// Empty if there is no `aud`.
    let audiences: [String]
    let subject: String
    let expires: Date
    let notBefore: Date?
    let issued: Date?

    init(_ members: JSONValue.Members) throws(HubTokenError) {
        issuer = try Self.issuer(members["iss"])
        audiences = try Self.audiences(members["aud"])
        guard let subject = members["sub"]?.string, (1...Self.maximumSubjectLength).contains(subject.utf8.count) else {
            throw HubTokenError(.claim, "the token's `sub` is missing, or not 1 to \(Self.maximumSubjectLength) bytes")
        }
        self.subject = subject
        notBefore = try Self.time("nbf", members)
        issued = try Self.time("iat", members)
        guard let expires = try Self.time("exp", members) else {
            throw HubTokenError(.expired, "the token has no `exp`: it would never expire")
        }
        self.expires = expires
    }

    private static func issuer(_ value: JSONValue?) throws(HubTokenError) -> String? {
        guard let value else { return nil }
        guard let issuer = value.string, !issuer.isEmpty else {
            throw HubTokenError(.issuer, "the token's `iss` is no text, or empty")
        }
        return issuer
    }

    /// One text, or a list of at least one (RFC 7519, section 4.1.3).
    private static func audiences(_ value: JSONValue?) throws(HubTokenError) -> [String] {
        guard let value else { return [] }
        let audiences = (value.array ?? [value]).map(\.string)
        let texts = audiences.compactMap { $0 }
        guard !texts.isEmpty, texts.count == audiences.count, !texts.contains("") else {
            throw HubTokenError(.audience, "the token's `aud` is neither a text nor a list of texts, or empty")
        }
        return texts
    }

    /// A time in seconds since 1970, which may have a fraction (RFC 7519, section 2).
    private static func time(_ name: String, _ members: JSONValue.Members) throws(HubTokenError) -> Date? {
        guard let value = members[name] else { return nil }
        guard let seconds = value.number, (0...lastTime).contains(seconds) else {
            throw HubTokenError(.malformed, "the token's `\(name)` is no time in seconds")
        }
        return Date(timeIntervalSince1970: seconds)
    }
}
#endif
