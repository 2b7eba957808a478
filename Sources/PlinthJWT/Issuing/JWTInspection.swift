// SPDX-License-Identifier: Apache-2.0

#if JWT
public import PlinthHub
import PlinthStreams

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// What a token says, without a key and so without trust: for people who look for the reason of a refusal.
public struct JWTInspection: Sendable {
    /// The head's JSON as sent.
    public let head: String
    /// The claims' JSON as sent.
    public let claims: String
    /// `alg`; nil if it is missing or no text.
    public let algorithm: String?
    /// `kid`; nil if it is missing or no text.
    public let keyID: String?
    /// `iss`, nil if it is missing.
    public let issuer: String?
    /// `sub`; nil if it is missing.
    public let subject: String?
    /// `aud`; empty if it is missing.
    public let audiences: [String]
    /// `iat`; nil if it is missing.
    public let issued: Date?
    /// `nbf`; nil if it is missing.
    public let notBefore: Date?
    /// `exp`; nil if it is missing.
    public let expires: Date?
    /// The rights; nil if the token does not have the claim, or it cannot be read.
    public let rights: JWTRights?
    /// The reasons for which any hub refuses the token, whatever its keys and the time; those after the first of the
    /// head and the first of the claims are not looked for.
    public let problems: [HubTokenError]

    /// Decodes a token.
    ///
    /// - Parameters:
    ///   - token: The token in the compact form.
    ///   - claim: The claim with the rights, as ``JWTOptions/claim``. Default: `plinth`.
    /// - Throws: `HubTokenError` if it does not have the form of a token; ``JWTConfigurationError`` for a bad path.
    public init(_ token: String, claim: String = "plinth") throws {
        let path = try ClaimPath(claim)
        let token = try CompactToken(token)
        let members = (
            head: try CompactToken.object(token.headJSON, "head"),
            claims: try CompactToken.object(token.claimsJSON, "claims")
        )
        head = String(decoding: token.headJSON, as: UTF8.self)
        claims = String(decoding: token.claimsJSON, as: UTF8.self)
        algorithm = members.head["alg"]?.string
        keyID = members.head["kid"]?.string
        var problems: [HubTokenError] = []
        do { _ = try token.head() } catch { problems.append(error) }
        var read: TokenClaims?
        var rights: JWTRights?
        do {
            read = try TokenClaims(members.claims)
            if let members = try path.members(in: members.claims) { rights = try Self.rights(members, path) }
        } catch {
            problems.append(error)
        }
        issuer = read?.issuer
        subject = read?.subject
        audiences = read?.audiences ?? []
        issued = read?.issued
        notBefore = read?.notBefore
        expires = read?.expires
        self.rights = rights
        self.problems = problems
    }

    private static func rights(_ members: JSONValue.Members, _ path: ClaimPath) throws(HubTokenError) -> JWTRights {
        do { return try JWTRights(members) } catch { throw TokenCheck.unreadable(path, error) }
    }

    /// The token in words.
    ///
    /// - Parameter now: The time with which its own are compared. Default: now.
    /// - Returns: The lines; no character of them can control a terminal.
    public func lines(at now: Date = Date()) -> [String] {
        var lines = ["head: \(head)", "claims: \(claims)"]
        if let subject { lines.append("subject: \(subject)") }
        if let issuer { lines.append("issuer: \(issuer)") }
        if !audiences.isEmpty { lines.append("audience: \(audiences.joined(separator: ", "))") }
        for (name, time) in [("issued", issued), ("valid from", notBefore), ("expires", expires)] {
            guard let time else { continue }
            let seconds = Int64(time.timeIntervalSince(now))
            let distance = seconds < 0 ? "\(-seconds) s ago" : "in \(seconds) s"
            lines.append("\(name): \(time.formatted(.iso8601)), \(distance)")
        }
        lines += rights?.lines ?? []
        if rights == nil, problems.isEmpty { lines.append("rights: none, it does not have the claim") }
        lines += problems.map { "refused: \($0)" }
        lines.append("the signature was not verified")
        return lines.map { TerminalText.visible($0) }
    }
}
#endif
