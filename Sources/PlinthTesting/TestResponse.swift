// SPDX-License-Identifier: Apache-2.0

public import Plinth

/// A response as a client would have received it, with its whole body.
public struct TestResponse: Sendable {
    /// The status.
    public var status: HTTPResponse.Status
    /// The header fields that the chain set.
    ///
    /// The framing that a connector adds is not among them; see
    /// ``contentLength``.
    public var headers: HTTPFields
    /// The bytes of the body; none in answer to `HEAD`, nor with status 204 or 304 (RFC 9110, section 6.4.1).
    public var bytes: [UInt8]
    /// The `Content-Length` that a connector would announce: that of the body, even if `HEAD` leaves it out.
    ///
    /// Nil if the length is not known before the body is written.
    public var contentLength: Int?
    /// Whether an interceptor sent the head itself, with ``/Plinth/Context/sendHead()``: ``status`` and ``headers`` are
    /// then those of that moment.
    public var isHeadSentEarly: Bool
    /// The route that matched, if any did.
    public var route: RouteIdentity?
    /// The event stream, if the body is one: what its client sees and does.
    public var eventStream: TestEventStream?

    /// The body as UTF-8, with invalid bytes replaced.
    public var body: String { String(decoding: bytes, as: UTF8.self) }
}

/// A body could not be collected by a test.
public struct TestResponseError: Error, CustomStringConvertible {
    /// What was in the way.
    public let description: String
}
