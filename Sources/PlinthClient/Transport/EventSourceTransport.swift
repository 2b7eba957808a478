// SPDX-License-Identifier: Apache-2.0

public import HTTPTypes

/// Sends an event source's requests, one exchange at a time; the source itself decides on redirects and retries.
///
/// The trait `Client` provides `AsyncHTTPClientTransport`. On Apple platforms, a transport with URLSession takes about
/// 20 lines.
public protocol EventSourceTransport: Sendable {
    /// Sends a request and waits for the response's head.
    ///
    /// Does not follow redirects, skips responses with an informational status, and decompresses nothing. Aborts the
    /// exchange at once if the task is cancelled, here or while the body is read, or if the body is released before its
    /// end.
    ///
    /// - Parameter request: The request.
    /// - Returns: The response, whose body is read as it arrives.
    /// - Throws: Any error if there is no response: the source then retries. An ``EventSourceTransportError`` gives the
    ///   cause. An ``EventSourceError`` fails the source permanently.
    @concurrent func send(_ request: EventSourceRequest) async throws -> EventSourceResponse
}

/// A request of an event source.
public struct EventSourceRequest: Sendable, Hashable {
    /// The method.
    public var method: HTTPRequest.Method

    /// The absolute HTTP or HTTPS URL, without a fragment; ASCII except for an internationalized host name.
    public var url: String

    /// The source's header fields; the transport adds those of the connection.
    public var headerFields: HTTPFields

    /// The body; nil for none.
    public var body: [UInt8]?

    /// Creates a request.
    ///
    /// - Parameters:
    ///   - method: The method.
    ///   - url: The URL.
    ///   - headerFields: The header fields.
    ///   - body: The body; nil for none.
    public init(method: HTTPRequest.Method, url: String, headerFields: HTTPFields, body: [UInt8]?) {
        self.method = method
        self.url = url
        self.headerFields = headerFields
        self.body = body
    }
}

/// The head of a response.
public struct EventSourceResponseHead: Sendable, Hashable {
    /// The status, such as 200.
    public var status: Int

    /// The header fields.
    public var headerFields: HTTPFields

    /// The requested URL; empty until the source sets it.
    public internal(set) var url = ""

    /// Creates a head.
    ///
    /// - Parameters:
    ///   - status: The status.
    ///   - headerFields: The header fields. Default: none.
    public init(status: Int, headerFields: HTTPFields = [:]) {
        self.status = status
        self.headerFields = headerFields
    }
}

/// A response whose body has not been read yet.
public struct EventSourceResponse {
    /// The head.
    public var head: EventSourceResponseHead

    /// The body.
    public var body: any EventSourceResponseBody

    /// Creates a response.
    ///
    /// - Parameters:
    ///   - head: The head.
    ///   - body: The body.
    public init(head: EventSourceResponseHead, body: any EventSourceResponseBody) {
        self.head = head
        self.body = body
    }

    /// Creates a response with a sequence as its body.
    ///
    /// - Parameters:
    ///   - head: The head.
    ///   - body: The body's bytes, in chunks.
    public init<Body: AsyncSequence>(head: EventSourceResponseHead, body: Body) where Body.Element: Collection<UInt8> {
        self.init(head: head, body: SequenceBody(iterator: body.makeAsyncIterator()))
    }
}

/// The body of a response, read on demand: a source that does not request bytes slows the server.
public protocol EventSourceResponseBody {
    /// Waits for the next bytes and passes them to a closure.
    ///
    /// - Parameter use: Called once with bytes, unless the body has ended.
    /// - Returns: False at the end of the body.
    /// - Throws: Any error if the body is cut off or the task is cancelled.
    @concurrent mutating func next(_ use: (Span<UInt8>) -> Void) async throws -> Bool
}

/// A sequence of chunks as a body.
private struct SequenceBody<Iterator: AsyncIteratorProtocol>: EventSourceResponseBody
where Iterator.Element: Collection<UInt8> {
    var iterator: Iterator

    @concurrent mutating func next(_ use: (Span<UInt8>) -> Void) async throws -> Bool {
        guard let chunk = try await iterator.next(isolation: nil) else { return false }
        use(Array(chunk).span)
        return true
    }
}
