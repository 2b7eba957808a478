// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOHTTP1
import Plinth

/// A request in progress on a connection, and how much of it and its response has been transferred.
struct RequestInProgress {
    /// Identifies the request on its connection: what a task asks for a request that is over has no effect.
    let number: UInt64
    let method: HTTPRequest.Method
    let version: HTTPVersion
    /// The `Content-Length`; nil for chunks, and on HTTP/2 if the head has none.
    let bodyLength: Int?
    let hasBody: Bool
    /// Whether the connection serves other requests after this one.
    var keepsAlive: Bool
    /// Whether the client waits for `100 Continue` before it sends the body.
    var expectsContinue: Bool
    /// Whether the application has it.
    var isRunning = false
    var receivedBytes = 0
    var hasReceivedAll = false
    /// How the response is framed; nil before it has begun.
    var framing: ResponseFraming?
    var sentBytes = 0
    var hasSentAll = false
    /// Whether writers wait for the socket to take more.
    var hasWaitingWriters = false
    /// How long the handler lets the client be silent; nil for the connector's limit.
    var pauseLimit: Duration?

    init(
        number: UInt64,
        head: HTTPRequestHead,
        fields: FramingFields,
        method: HTTPRequest.Method,
        bodyLength: Int?,
        isDraining: Bool
    ) {
        self.number = number
        self.method = method
        self.bodyLength = bodyLength
        version = HTTPVersion(major: Int(head.version.major), minor: Int(head.version.minor))
        // HTTP/2 needs no field to announce a body.
        hasBody =
            bodyLength.map { $0 > 0 }
            ?? (fields.transferEncoding.count > 0
                || (version >= .http2 && method != .get && method != .head))
        // RFC 9110, section 10.1.1: not on HTTP/1.0.
        expectsContinue = version >= .http1_1 && fields.expectsContinue
        // The parser reads nothing after a request for an upgrade or a tunnel.
        keepsAlive =
            head.isKeepAlive && !isDraining && !fields.hasUpgrade && head.method != .CONNECT
    }
}

#endif
