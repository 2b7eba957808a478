// SPDX-License-Identifier: Apache-2.0

#if Client

public import AsyncHTTPClient
import HTTPTypes
import NIOCore
import NIOHTTP1

/// Sends an event source's requests with AsyncHTTPClient.
public final class AsyncHTTPClientTransport: EventSourceTransport {
    /// The default transport: a client with ``configuration``, on the singleton event loop group.
    public static let shared = AsyncHTTPClientTransport(configuration: configuration)

    /// A client configuration for event streams; change its TLS, proxy or DNS settings as needed.
    ///
    /// Redirects are left to the source. Each source has its own connection, which serves one request, since an idle
    /// one may be gone when it is reused. A connection that cannot be made fails at once. Bytes received before a
    /// connection is lost are still delivered; AsyncHTTPClient alone drops those not requested yet. One read of the
    /// socket takes up to 256 KiB. The only time limit is the connect timeout, 10 s.
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

    /// Creates a transport with its own client, which is shut down with it.
    ///
    /// - Parameter configuration: The client's configuration, based on ``configuration``.
    public init(configuration: HTTPClient.Configuration) {
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        isOwned = true
    }

    /// Creates a transport with a shared client.
    ///
    /// - Parameter client: The client, which must outlive the sources. If it follows redirects itself, the source sees
    ///   only the final response.
    public init(_ client: HTTPClient) {
        self.client = client
        isOwned = false
    }

    deinit {
        // No request is left to fail, and no caller to report an error to.
        if isOwned { client.shutdown { _ in } }
    }

    /// Sends a request and waits for the response's head.
    ///
    /// - Parameter request: The request.
    /// - Returns: The response.
    /// - Throws: ``EventSourceTransportError`` if there is no response, with the client's error as its cause;
    ///   `CancellationError` if the task is cancelled.
    @concurrent public func send(_ request: EventSourceRequest) async throws -> EventSourceResponse {
        var outgoing = HTTPClientRequest(url: request.url)
        outgoing.method = HTTPMethod(rawValue: request.method.rawValue)
        for field in request.headerFields { outgoing.headers.add(name: field.name.rawName, value: field.value) }
        if let body = request.body { outgoing.body = .bytes(ByteBuffer(bytes: body)) }
        // The source enforces its own time limits.
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
    /// Creates an event source that connects with AsyncHTTPClient.
    ///
    /// - Parameters:
    ///   - url: An absolute HTTP or HTTPS URL; with any other, the iteration throws
    ///     ``EventSourceError/Code/invalidURL``. A user name and password are sent as `Authorization: Basic`, unless
    ///     that field is configured.
    ///   - configuration: How the source connects and waits, and which responses it accepts. Default: as browsers do.
    public convenience init(_ url: String, configuration: EventSourceConfiguration = EventSourceConfiguration()) {
        self.init(url, configuration: configuration, transport: AsyncHTTPClientTransport.shared)
    }
}

#endif
