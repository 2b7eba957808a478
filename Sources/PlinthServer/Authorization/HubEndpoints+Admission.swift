// SPDX-License-Identifier: Apache-2.0

#if Server

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif
import HTTPTypes
import Plinth
import PlinthHub

/// Who a request is from, and whether what it asks for is granted.
extension HubEndpoints {
    /// Admits a request; without an authorizer, everybody may do everything.
    ///
    /// - Throws: ``/Plinth/HTTPError`` or ``/PlinthHub/HubTokenError`` for a refusal; ``ExpiredSession``;
    ///   ``AuthorizerFailure`` for any other error of the authorizer; `CancellationError` if the client has left.
    func admit(_ request: Request) async throws -> Admission {
        if let admission = try admitNow(request) { return admission }
        return try await admitLater(request)
    }

    /// As ``admit(_:)``, without waiting; nil if the decision has to wait, for ``admitLater(_:)``.
    func admitNow(_ request: Request) throws -> Admission? {
        guard let authorizer else { return Self.everything }
        try checkRefusals(request)
        do {
            if let authorizer = authorizer as? any AdmittingAuthorizer {
                return try authorizer.admitNow(request).map { try admitted($0, request) }
            }
            return try authorizer.grantNow(for: request).map { try admitted(Admission(grant: $0), request) }
        } catch {
            throw refused(error, request)
        }
    }

    func admitLater(_ request: Request) async throws -> Admission {
        guard let authorizer else { return Self.everything }
        do {
            if let authorizer = authorizer as? any AdmittingAuthorizer {
                return try admitted(await authorizer.admit(request), request)
            }
            return try admitted(Admission(grant: await authorizer.grant(for: request)), request)
        } catch {
            throw refused(error, request)
        }
    }

    private static let everything = Admission(grant: .everything())

    private func admitted(_ admission: Admission, _ request: Request) throws -> Admission {
        try check(admission)
        return admission
    }

    /// Refuses an anonymous publisher's numbers and keys.
    ///
    /// Anonymous publishers would share them, so that each could take or fence those of another. Without an authorizer
    /// everybody is trusted.
    func checkRepetition(_ request: Request, _ admission: Admission) throws {
        guard authorizer != nil, admission.grant.subject == nil, request.mayRepeat else { return }
        let names: [HTTPField.Name] = [.producerID, .producerEpoch, .producerSequence, .idempotencyKey]
        guard let name = names.first(where: request.headers.contains) else { return }
        throw HTTPError(
            .badRequest,
            .badField,
            "\(name) belongs to a subject: send it with credentials, or leave it out"
        )
    }

    /// Checks whether what was admitted still stands; asked again for each append of an upload, and when a long-poll
    /// returns.
    ///
    /// - Throws: ``/PlinthHub/HubTokenError`` if the grant has expired or was revoked.
    func check(_ admission: Admission) throws {
        if admission.grant.expires != nil, admission.grant.hasExpired(at: wallClock()) {
            throw HubTokenError(.expired, "the grant has expired")
        }
        try checkRevocation(admission)
    }

    /// Checks whether the subject or the session was ended meanwhile.
    func checkRevocation(_ admission: Admission) throws {
        // A key's line is removed instead; it has no time of issue, and a revoked token may have had its subject's name.
        let isOfKey = admission.grant.subject?.source == HubAPIKeys.source
        if let revocations, !isOfKey, revocations.isRevoked(admission.grant) {
            throw HubTokenError(.revoked, "the subject was revoked after this credential was issued; get a new one")
        }
        if let authorizer = authorizer as? TokenAuthorizer, !authorizer.isCurrent(admission.grant) {
            throw HubTokenError(.revoked, "the key of this credential was withdrawn; get a new one")
        }
        if let session = admission.session, sessions?.hasEnded(session) ?? false {
            throw HubTokenError.sessionEnded
        }
    }

    /// How long a stream or a long-poll of this admission may last; nil for no limit.
    func rest(of admission: Admission) -> Duration? {
        admission.grant.expires.map { .seconds(max(0, min($0.timeIntervalSince(wallClock()), 1e9))) }
    }

    /// Whose a stream of this admission is; nil without an authorizer.
    func owner(_ admission: Admission) -> StreamOwner? {
        guard authorizer != nil else { return nil }
        return StreamOwner(admission.grant, session: admission.session) { [self] owner in
            (try? checkRevocation(Admission(grant: owner.grant, session: owner.session))) != nil
        }
    }

    /// Refuses an address whose tokens were refused too often, before another one is verified.
    func checkRefusals(_ request: Request) throws {
        guard request.headers.contains(.authorization) || request.headers.contains(.cookie) else { return }
        guard let wait = rates.waitAfterRefusals(of: request, now: service.hub.options.now()) else { return }
        // Whoever was verified before shares the address, of a proxy perhaps, and is not locked out.
        if let authorizer = authorizer as? TokenAuthorizer, authorizer.knows(request) { return }
        throw TooManyRefusals(wait: wait)
    }

    func refused(_ error: any Error, _ request: Request) -> any Error {
        if let error = error as? HubTokenError, error.code != .keysUnavailable, error.code != .expired {
            rates.refused(request, now: service.hub.options.now())
        }
        if error is HTTPError || error is HubTokenError || error is ExpiredSession { return error }
        // By the task, not by the error: what the authorizer waited for may fail because the client has left.
        if Task.isCancelled { return CancellationError() }
        request.logger.error("the hub's authorizer failed", metadata: ["error": "\(error)"])
        return AuthorizerFailure()
    }
}

// MARK: - Rights

extension Admission {
    /// The selection of what is wanted and granted.
    ///
    /// - Throws: ``/Plinth/HTTPError`` with 401 or 403.
    func selection(of wanted: [TopicSelector]) throws -> Selection {
        do { return try grant.selection(of: wanted) } catch { throw refusal(error) }
    }

    func permitPublishing(to topics: [Topic]) throws {
        do { try grant.permitPublishing(to: topics) } catch { throw refusal(error) }
    }

    func permitOperating() throws {
        do { try grant.permitOperating() } catch { throw refusal(error) }
    }

    /// A missing right: whoever is unknown is asked for credentials, and a known subject is refused.
    func refusal(_ denial: HubDenial) -> HTTPError {
        if grant.subject == nil {
            return HTTPError(
                .unauthorized,
                .unauthorized,
                "\(denial); send credentials",
                headers: [.wwwAuthenticate: "Bearer realm=\"plinth\""]
            )
        }
        return HTTPError(.forbidden, .forbidden, "\(denial)")
    }
}

/// An address has sent too many tokens that were refused, so that no other is verified for a while.
struct TooManyRefusals: Error {
    let wait: Duration

    var response: HTTPError {
        HTTPError(
            .tooManyRequests,
            .rateLimit,
            "too many tokens of this address were refused; try again later",
            headers: [.retryAfter: wait.retryAfter]
        )
    }
}

extension HubTokenError {
    /// A browser's session that was ended, by signing out or by somebody else's signing in.
    static let sessionEnded = HubTokenError(.revoked, "this session has ended; sign in again")

    /// The refusal of a token: 401 with its challenge (RFC 6750, section 3), or 503 while its keys are unavailable.
    var response: HTTPError {
        if code == .keysUnavailable {
            return HTTPError(.serviceUnavailable, message, code: code.description, headers: [.retryAfter: "5"])
        }
        // A quoted string of the characters that the grammar allows.
        let words = String(
            decoding: message.utf8.map { (0x20..<0x7F).contains($0) && $0 != 0x22 && $0 != 0x5C ? $0 : 0x27 },
            as: UTF8.self
        )
        return HTTPError(
            .unauthorized,
            message,
            code: code.description,
            headers: [
                .wwwAuthenticate: "Bearer realm=\"plinth\", error=\"invalid_token\", error_description=\"\(words)\""
            ]
        )
    }
}

#endif
