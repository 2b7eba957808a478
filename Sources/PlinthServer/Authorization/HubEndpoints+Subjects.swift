// SPDX-License-Identifier: Apache-2.0

#if Server

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif
import Plinth
import PlinthHub
import PlinthStreams

/// `subjects/{subject}`: revocation.
extension HubEndpoints {
    /// Revokes a subject, and ends its streams.
    func revoke(_ request: Request) async throws -> Response {
        let name = try request.pathParameters.require("subject")
        guard (1...255).contains(name.utf8.count) else {
            throw HTTPError(.badRequest, .badField, "a subject is 1 to 255 bytes long")
        }
        let issuer = request.queryParameters["issuer"]
        guard issuer != "" else {
            throw HTTPError(.badRequest, .badField, "`issuer` is empty; leave it out to mean all issuers")
        }
        try await admit(request).permitOperating()
        guard let revocations else {
            throw HTTPError(
                .conflict,
                .revocationOff,
                "a revocation must last as long as the longest token: set --jwt-maximum-lifetime (HubRevocations in code)"
            )
        }
        guard !((authorizer as? TokenAuthorizer)?.keys?.hasSubject(name) ?? false) else {
            throw HTTPError(
                .conflict,
                .apiKey,
                "the subject has an API key, which does not expire: remove its line from the file, and send SIGHUP"
            )
        }
        let revocation: HubRevocation
        do {
            revocation = try await revocations.revoke(name, issuer: issuer)
        } catch {
            await service.endStreams(of: name, issuer: issuer)
            try Task.checkCancellation()
            request.logger.error("saving a revocation failed", metadata: ["error": "\(error)"])
            throw HTTPError(
                .serviceUnavailable,
                .unavailable,
                "the subject is revoked until the restart; it could not be saved for longer: send it again",
                headers: [.retryAfter: "1"]
            )
        }
        await service.endStreams(of: name, issuer: issuer)
        return .json(
            "{\"revoked\":\(JSONString.quoted(name)),\"issuer\":\(JSONString.quoted(issuer)),"
                + "\"newTokensHold\":\(JSONString.quoted(revocation.newTokensHold.formatted(.iso8601))),"
                + "\"isKeptUntil\":\(JSONString.quoted(revocation.isKeptUntil.formatted(.iso8601))),"
                + "\"untilRestart\":\(!revocations.isLasting)}"
        )
    }
}

#endif
