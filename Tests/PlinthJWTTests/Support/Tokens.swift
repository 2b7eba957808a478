// SPDX-License-Identifier: Apache-2.0

#if JWT
import Foundation
import PlinthHub
import Testing

@testable import PlinthJWT

/// The time of the tests: 1,000,000 s after 1970.
let now = Date(timeIntervalSince1970: 1_000_000)

/// Signs any head and claims, valid or not.
func signed(_ claims: String, head: String? = nil, _ key: TestKey) throws -> String {
    let head = head ?? "{\"alg\":\"\(key.algorithm)\"}"
    let text = Base64URL.encode(head.utf8) + "." + Base64URL.encode(claims.utf8)
    return text + "." + Base64URL.encode(try key.signing.signature(of: Array(text.utf8)))
}

/// Claims that are valid now: for 60 s, of `user-7`; `more` are further members, or others in their place.
func claims(_ more: String...) -> String {
    let names = more.compactMap { $0.split(separator: ":").first }
    let members = ["\"sub\":\"user-7\"", "\"exp\":1000060"].filter { member in
        !names.contains { member.hasPrefix("\($0):") }
    }
    return "{\((members + more).joined(separator: ","))}"
}

/// Decides about a token.
func grant(
    _ token: String,
    _ keys: JWTKeys,
    at time: Date = now,
    _ change: (inout JWTOptions) -> Void = { _ in }
) throws -> HubGrant {
    var options = JWTOptions()
    change(&options)
    switch try TokenCheck(options).outcome(of: token, keys, at: time) {
    case .granted(let grant): return grant
    case .unknownKey(let error): throw error
    }
}

/// The error with which a body refuses a token.
@discardableResult
func refusal(
    _ code: HubTokenError.Code,
    _ comment: Comment? = nil,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () throws -> HubGrant?
) -> HubTokenError? {
    let error = #expect(throws: HubTokenError.self, comment, sourceLocation: sourceLocation) { _ = try body() }
    #expect(error?.code == code, comment, sourceLocation: sourceLocation)
    return error
}

/// The error of keys or options.
@discardableResult
func configurationError(
    _ code: JWTConfigurationError.Code,
    _ comment: Comment? = nil,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () throws -> Void
) -> JWTConfigurationError? {
    let error = #expect(throws: JWTConfigurationError.self, comment, sourceLocation: sourceLocation) { try body() }
    #expect(error?.code == code, comment, sourceLocation: sourceLocation)
    return error
}
#endif
