// SPDX-License-Identifier: Apache-2.0

public import HTTPTypes

/// What brings an event source's requests to a server: one exchange at a time, and nothing of the rules.
///
/// `AsyncHTTPClientTransport` is the one that comes with the trait `Client`. An app on Apple systems can bring
/// URLSession with some twenty lines.
public protocol EventSourceTransport: Sendable {
    /// Sends a request and waits for the response's head.
    ///
    /// Redirects are not followed; responses with an informational status are passed over; nothing is decompressed. If
    /// the task is cancelled, here or while the body is read, the exchange is given up at once; and so it is when the
    /// body is dropped before its end.
    ///
    /// - Parameter request: The request.
    /// - Returns: The response, whose body is read as it comes.
    /// - Throws: Any error if there is no response: the source then tries again. An ``EventSourceTransportError`` says why
    ///   there is none. An ``EventSourceError`` ends the source for good.
    @concurrent func send(_ request: EventSourceRequest) async throws -> EventSourceResponse
}

/// A request of an event source.
public struct EventSourceRequest: Sendable, Hashable {
    /// The method.
    public var method: HTTPRequest.Method

    /// The URL, absolute, of HTTP or HTTPS, in ASCII and without a fragment.
    public var url: String

    /// The header fields that the source wants; those of the connection are the transport's.
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

    /// The URL that was asked; empty until the source sets it.
    public internal(set) var url = ""

    /// Creates a head.
    ///
    /// - Parameters:
    ///   - status: The status.
    ///   - headerFields: The header fields; none unless given.
    public init(status: Int, headerFields: HTTPFields = [:]) {
        self.status = status
        self.headerFields = headerFields
    }
}

/// A response whose body is still to be read.
public struct EventSourceResponse {
    /// Its head.
    public var head: EventSourceResponseHead

    /// Its body.
    public var body: any EventSourceResponseBody

    /// Creates a response.
    ///
    /// - Parameters:
    ///   - head: Its head.
    ///   - body: Its body.
    public init(head: EventSourceResponseHead, body: any EventSourceResponseBody) {
        self.head = head
        self.body = body
    }

    /// Creates a response with the body that a sequence brings.
    ///
    /// - Parameters:
    ///   - head: Its head.
    ///   - body: The body's bytes, in chunks.
    public init<Body: AsyncSequence>(head: EventSourceResponseHead, body: Body) where Body.Element: Collection<UInt8> {
        self.init(head: head, body: SequenceBody(iterator: body.makeAsyncIterator()))
    }
}

/// The body of a response, pulled: a source that does not ask for bytes slows the server.
public protocol EventSourceResponseBody {
    /// Waits for the next bytes, and lends them.
    ///
    /// - Parameter use: Called once with bytes, unless the body has ended.
    /// - Returns: False at the end of the body.
    /// - Throws: Any error if the body breaks off, or when the task is cancelled.
    @concurrent mutating func next(_ use: (Span<UInt8>) -> Void) async throws -> Bool
}

/// The body that a sequence of chunks is.
private struct SequenceBody<Iterator: AsyncIteratorProtocol>: EventSourceResponseBody
where Iterator.Element: Collection<UInt8> {
    var iterator: Iterator

    @concurrent mutating func next(_ use: (Span<UInt8>) -> Void) async throws -> Bool {
        guard let chunk = try await iterator.next(isolation: nil) else { return false }
        use(Array(chunk).span)
        return true
    }
}
