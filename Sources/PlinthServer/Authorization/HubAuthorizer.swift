// SPDX-License-Identifier: Apache-2.0

#if Server

public import Plinth
public import PlinthHub

/// Decides who may do what with a hub.
///
/// ``HubEndpoints`` calls it for each request, after checking the request's syntax and before reading its body:
/// ``grantNow(for:)`` first, then ``grant(for:)`` if that returned nil. Both refuse by throwing a
/// ``/Plinth/HTTPError``, whose message and code reach the client as JSON, or a ``/PlinthHub/HubTokenError``, which
/// becomes 401. Any other error is logged and answered with 503; a subscription gets 200 and a reconnection time
/// instead, as a browser gives up for good at any other status. <doc:WhoMayDoWhat> has examples.
///
/// What the grant does not allow is refused by the endpoints: with 401 for an anonymous request, and with 403 for a
/// known subject.
public protocol HubAuthorizer: Sendable {
    /// Decides without waiting.
    ///
    /// - Parameter request: The request; its body has not been read.
    /// - Returns: The grant; nil if the decision has to wait. Default: nil.
    /// - Throws: ``/Plinth/HTTPError`` or ``/PlinthHub/HubTokenError`` to refuse the request.
    func grantNow(for request: Request) throws -> HubGrant?

    /// Decides, after waiting if necessary.
    ///
    /// - Parameter request: The request; its body has not been read.
    /// - Returns: The grant. Default: refused with 403.
    /// - Throws: ``/Plinth/HTTPError`` or ``/PlinthHub/HubTokenError`` to refuse the request; `CancellationError` if
    ///   the client has left.
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

/// What a request was admitted with: its grant, and the browser's session if a cookie brought the credential.
struct Admission: Sendable {
    var grant: HubGrant
    var session: String?
}

/// An authorizer that knows where the credential of a request came from.
protocol AdmittingAuthorizer: HubAuthorizer {
    func admitNow(_ request: Request) throws -> Admission?
    func admit(_ request: Request) async throws -> Admission
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

#endif
