// SPDX-License-Identifier: Apache-2.0

public import Plinth

/// A response as a client would receive it, with its whole body.
public struct TestResponse: Sendable {
    /// The status.
    public var status: HTTPResponse.Status
    /// The header fields set by the chain.
    ///
    /// They do not include the framing that a connector adds; see ``contentLength``.
    public var headers: HTTPFields
    /// The bytes of the body; empty for `HEAD` and for status 204 or 304 (RFC 9110, section 6.4.1).
    public var bytes: [UInt8]
    /// The `Content-Length` that a connector would send; for `HEAD`, the length of the omitted body.
    ///
    /// Nil if the length is unknown before the body is written.
    public var contentLength: Int?
    /// Whether an interceptor sent the head early, with ``/Plinth/Context/sendHead()``; ``status`` and ``headers`` are
    /// then those that were sent.
    public var isHeadSentEarly: Bool
    /// The matched route, if any.
    public var route: RouteIdentity?
    /// The client side of the event stream, if the body is one.
    public var eventStream: TestEventStream?

    /// The body as UTF-8, with invalid bytes replaced.
    public var body: String { String(decoding: bytes, as: UTF8.self) }
}

/// A response body could not be collected.
public struct TestResponseError: Error, CustomStringConvertible {
    /// The reason.
    public let description: String
}
