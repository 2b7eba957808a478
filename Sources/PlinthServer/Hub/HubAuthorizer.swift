// SPDX-License-Identifier: Apache-2.0

#if Server

public import Plinth
public import PlinthHub

/// Decides which requests may publish, subscribe, purge or read a hub's status.
///
/// ``HubEndpoints`` calls it for each request, after checking the request's syntax and before reading its body:
/// ``grantNow(for:)`` first, then ``grant(for:)`` if that returned nil. Both refuse by throwing a
/// ``/Plinth/HTTPError``, whose message and code reach the client as JSON. Any other error is logged and answered with
/// 503; a subscription gets 200 and a reconnection time instead, as a browser gives up for good at any other status.
/// <doc:HubOverHTTP> has an example.
public protocol HubAuthorizer: Sendable {
    /// Decides without waiting.
    ///
    /// - Parameter request: The request; its body has not been read.
    /// - Returns: The grant; nil if the decision has to wait. Default: nil.
    /// - Throws: ``/Plinth/HTTPError`` to refuse the request.
    func grantNow(for request: Request) throws -> HubGrant?

    /// Decides, after waiting if necessary.
    ///
    /// - Parameter request: The request; its body has not been read.
    /// - Returns: The grant. Default: refused with 403.
    /// - Throws: ``/Plinth/HTTPError`` to refuse the request; `CancellationError` if the client has left.
    func grant(for request: Request) async throws -> HubGrant
}

extension HubAuthorizer {
    /// Returns nil: the decision has to wait.
    public func grantNow(for request: Request) throws -> HubGrant? { nil }

    /// Refuses the request with 403.
    public func grant(for request: Request) async throws -> HubGrant {
        throw HTTPError(.forbidden, .forbidden, "the hub's authorizer refused this request")
    }
}

/// What a request may do with a hub.
public struct HubGrant: Sendable {
    /// The application's value for the request, such as its user.
    ///
    /// Streams carry it to the hub's observer, in ``/PlinthHub/HubStream/attachment``.
    public var attachment: (any Sendable)?
    /// Who makes the request, by whom producers, idempotency keys and ended topics are counted.
    ///
    /// Default: nil, an anonymous request.
    public var subject: HubSubject?

    private init(attachment: (any Sendable)?) {
        self.attachment = attachment
    }

    /// Allows every operation on every topic.
    ///
    /// - Parameter attachment: The application's value for the request. Default: nil.
    /// - Returns: The grant.
    public static func everything(attachment: (any Sendable)? = nil) -> HubGrant {
        HubGrant(attachment: attachment)
    }
}

/// The authorizer threw an error that is no refusal; a hub answers it with 503.
struct AuthorizerFailure: Error {
    var response: HTTPError {
        HTTPError(
            .serviceUnavailable,
            .unavailable,
            "the request could not be authorized; try again later",
            headers: [.retryAfter: "1"]
        )
    }
}

extension HubEndpoints {
    /// Returns the authorizer's grant for a request; without an authorizer, everything is allowed.
    ///
    /// - Throws: ``/Plinth/HTTPError`` for a refusal; ``AuthorizerFailure`` for any other error of the authorizer;
    ///   `CancellationError` if the client has left.
    func grant(_ request: Request) async throws -> HubGrant {
        if let grant = try grantNow(request) { return grant }
        return try await grantLater(request)
    }

    /// As ``grant(_:)``, without waiting; nil if the decision has to wait, for ``grantLater(_:)``.
    func grantNow(_ request: Request) throws -> HubGrant? {
        guard let authorizer else { return .everything() }
        do {
            return try authorizer.grantNow(for: request)
        } catch {
            throw failure(error, request)
        }
    }

    func grantLater(_ request: Request) async throws -> HubGrant {
        guard let authorizer else { return .everything() }
        do {
            return try await authorizer.grant(for: request)
        } catch {
            throw failure(error, request)
        }
    }

    private func failure(_ error: any Error, _ request: Request) -> any Error {
        if error is HTTPError { return error }
        // By the task, not by the error: what the authorizer waited for may fail because the client has left.
        if Task.isCancelled { return CancellationError() }
        request.logger.error("the hub's authorizer failed", metadata: ["error": "\(error)"])
        return AuthorizerFailure()
    }
}

#endif
