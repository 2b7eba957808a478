// SPDX-License-Identifier: Apache-2.0

#if Client

public import AsyncHTTPClient
import HTTPTypes
import NIOCore
import NIOHTTP1

/// Brings an event source's requests to a server with AsyncHTTPClient.
public final class AsyncHTTPClientTransport: EventSourceTransport {
    /// What event sources use unless told otherwise: a client with ``configuration``, on the process's event loops.
    public static let shared = AsyncHTTPClientTransport(configuration: configuration)

    /// A client's configuration that suits event streams; change its TLS, proxy or DNS settings as needed.
    ///
    /// Redirects are the source's; a connection serves one request, since one that has been idle may be gone when it is
    /// used again; as many connections to a host as there are sources; a connection that cannot be made fails at once.
    /// What came before a connection broke is still handed out, which AsyncHTTPClient by itself drops if it was not asked
    /// for yet. The socket is read in steps of up to 256 KiB. There is no limit of time but the one for making a connection,
    /// 10 seconds.
    public static var configuration: HTTPClient.Configuration {
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 1 << 20
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.maximumUsesPerConnection = 1
        configuration.http1_1ConnectionDebugInitializer = { channel in
            let allocator = AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 4096, maximum: 256 * 1024)
            return channel.setOption(.recvAllocator, value: allocator).flatMapThrowing {
                try ResponseBodyHandler.add(to: channel)
                try TLSAlertDetector.add(to: channel)
            }
        }
        return configuration
    }

    private let client: HTTPClient
    private let isOwned: Bool

    /// A transport with a client of its own, which ends with it.
    ///
    /// - Parameter configuration: The client's configuration, made of ``configuration``.
    public init(configuration: HTTPClient.Configuration) {
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        isOwned = true
    }

    /// A transport with a client that is shared with others.
    ///
    /// - Parameter client: The client, which lives longer than the sources. If it follows redirects itself, the source
    ///   sees only their end.
    public init(_ client: HTTPClient) {
        self.client = client
        isOwned = false
    }

    deinit {
        // Nothing is left that it could fail for, and nobody to tell.
        if isOwned { client.shutdown { _ in } }
    }

    /// Sends a request and waits for the response's head.
    ///
    /// - Parameter request: The request.
    /// - Returns: The response.
    /// - Throws: ``EventSourceTransportError`` if there is no response, with the client's error as its cause; or a
    ///   `CancellationError`.
    @concurrent public func send(_ request: EventSourceRequest) async throws -> EventSourceResponse {
        var outgoing = HTTPClientRequest(url: request.url)
        outgoing.method = HTTPMethod(rawValue: request.method.rawValue)
        for field in request.headerFields { outgoing.headers.add(name: field.name.rawName, value: field.value) }
        if let body = request.body { outgoing.body = .bytes(ByteBuffer(bytes: body)) }
        // The source has limits of its own.
        let response: HTTPClientResponse
        do {
            response = try await client.execute(outgoing, deadline: .distantFuture)
        } catch {
            if Task.isCancelled { throw CancellationError() }
            throw EventSourceTransportError.of(error)
        }
        var head = EventSourceResponseHead(status: Int(response.status.code))
        for (name, value) in response.headers {
            guard let name = HTTPField.Name(name) else { continue }
            head.headerFields.append(HTTPField(name: name, value: value))
        }
        return EventSourceResponse(head: head, body: Body(iterator: response.body.makeAsyncIterator()))
    }

    private struct Body: EventSourceResponseBody {
        var iterator: HTTPClientResponse.Body.AsyncIterator

        @concurrent mutating func next(_ use: (Span<UInt8>) -> Void) async throws -> Bool {
            guard let buffer = try await iterator.next() else { return false }
            if ResponseBodyHandler.isMark(buffer) { throw BrokenBody() }
            buffer.withUnsafeReadableBytes { use($0.bindMemory(to: UInt8.self).span) }
            return true
        }
    }
}

extension EventSource {
    /// An event source that connects with AsyncHTTPClient.
    ///
    /// - Parameters:
    ///   - url: The URL, absolute, of HTTP or HTTPS. If it is none, the iteration throws an error that says so. A user
    ///     name and a password are sent as `Authorization: Basic`, unless that field is configured.
    ///   - configuration: How it connects, waits, and what it accepts; as browsers do unless given.
    public convenience init(_ url: String, configuration: EventSourceConfiguration = EventSourceConfiguration()) {
        self.init(url, configuration: configuration, transport: AsyncHTTPClientTransport.shared)
    }
}

#endif
