// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import AsyncHTTPClient
import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOSSL
import PlinthClient
import Synchronization

/// The route to a URL: the URL and fields for AsyncHTTPClient's request, and the client's configuration.
struct RequestRoute: Sendable {
    /// The URL to request, without credentials: the given one, or the proxy's with the given path.
    ///
    /// A query may be appended.
    let url: String
    /// The header fields, including `Authorization` and, if the URL is the proxy's, `Host` and `Proxy-Authorization`.
    let fields: HTTPFields
    private let proxy: ProxySettings.Proxy?
    private let isAbsoluteForm: Bool
    private let tls: TLSConfiguration?

    init(to address: HTTPAddress, fields: HTTPFields, proxy: ProxySettings.Proxy?, tls: TLSConfiguration?) {
        self.proxy = proxy
        self.tls = tls
        // An http request uses the absolute form (RFC 9112, section 3.2.2): many proxies reject `CONNECT`, which
        // AsyncHTTPClient would send, to ports other than 443.
        guard let proxy, proxy.kind == .http, address.scheme == "http" else {
            isAbsoluteForm = false
            url = address.string
            self.fields = fields
            return
        }
        isAbsoluteForm = true
        let host = proxy.host.contains(":") ? "[\(proxy.host)]" : proxy.host
        url = "http://\(host):\(proxy.port)\(address.target)"
        var fields = fields
        if fields[.host] == nil { fields[.host] = address.authority }
        if fields[.proxyAuthorization] == nil { fields[.proxyAuthorization] = proxy.authorization }
        self.fields = fields
    }

    /// Sets the certificates and the proxy in a client's configuration.
    func configure(_ configuration: inout HTTPClient.Configuration) {
        if let tls { configuration.tlsConfiguration = tls }
        guard let proxy else { return }
        guard isAbsoluteForm else {
            switch proxy.kind {
            case .socks: configuration.proxy = .socksServer(host: proxy.host, port: proxy.port)
            case .http:
                configuration.proxy = .server(host: proxy.host, port: proxy.port)
                // AsyncHTTPClient wants the credentials without their scheme, which is always Basic here.
                if let value = proxy.authorization?.dropFirst("Basic ".count) {
                    configuration.proxy?.authorization = .basic(credentials: String(value))
                }
            }
            return
        }
        let inner = configuration.http1_1ConnectionDebugInitializer
        configuration.http1_1ConnectionDebugInitializer = { channel in
            let handler = AbsoluteFormHandler.add(to: channel)
            guard let inner else { return handler }
            return handler.flatMap { inner(channel) }
        }
    }

    /// The route's client configuration; routes with equal keys can share a client.
    var key: Key { Key(proxy: proxy, isAbsoluteForm: isAbsoluteForm) }

    struct Key: Hashable {
        let proxy: ProxySettings.Proxy?
        let isAbsoluteForm: Bool
    }
}

/// Rewrites a request target to the absolute form, with the host of the `Host` field.
private final class AbsoluteFormHandler: ChannelOutboundHandler {
    typealias OutboundIn = HTTPClientRequestPart
    typealias OutboundOut = HTTPClientRequestPart

    /// Adds a handler in front of the channel's request encoder.
    static func add(to channel: any Channel) -> EventLoopFuture<Void> {
        channel.eventLoop.submit {
            let pipeline = channel.pipeline.syncOperations
            let encoder = try pipeline.handler(type: HTTPRequestEncoder.self)
            try pipeline.addHandler(AbsoluteFormHandler(), position: .after(encoder))
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard case .head(var head) = unwrapOutboundIn(data), head.uri.hasPrefix("/"),
            let host = head.headers.first(name: "Host")
        else {
            context.write(data, promise: promise)
            return
        }
        head.uri = "http://\(host)\(head.uri)"
        context.write(wrapOutboundOut(.head(head)), promise: promise)
    }
}

/// Sends each request of an event source through the proxy for its URL, or directly if there is none.
final class RoutedTransport: EventSourceTransport {
    private let proxies: ProxySettings
    private let tls: TLSConfiguration?
    /// One transport per route key; at most four, for http and https with and without a proxy.
    private let transports = Mutex<[RequestRoute.Key: AsyncHTTPClientTransport]>([:])

    init(proxies: ProxySettings, tls: TLSConfiguration?) {
        self.proxies = proxies
        self.tls = tls
    }

    @concurrent func send(_ request: EventSourceRequest) async throws -> EventSourceResponse {
        let address: HTTPAddress
        let proxy: ProxySettings.Proxy?
        do {
            address = try HTTPAddress(request.url)
            proxy = try proxies.proxy(for: address)
        } catch {
            // Permanent: a retry would find the same settings.
            throw EventSourceError(.invalidURL, "\(error)")
        }
        let route = RequestRoute(to: address, fields: request.headerFields, proxy: proxy, tls: tls)
        var request = request
        request.url = route.url
        request.headerFields = route.fields
        do {
            return try await transport(route).send(request)
        } catch let error as EventSourceTransportError {
            // With a proxy, these failures concern the proxy, which itself resolves and connects to servers.
            guard let proxy, [.nameNotFound, .connectionRefused, .connectionTimeout].contains(error.code) else {
                throw error
            }
            let message = "cannot reach the proxy \(proxy.host), port \(proxy.port): \(error.message)"
            throw EventSourceTransportError(.proxyFailed, message, cause: error.cause)
        }
    }

    private func transport(_ route: RequestRoute) -> AsyncHTTPClientTransport {
        transports.withLock { transports in
            if let transport = transports[route.key] { return transport }
            var configuration = AsyncHTTPClientTransport.configuration
            route.configure(&configuration)
            let transport = AsyncHTTPClientTransport(configuration: configuration)
            transports[route.key] = transport
            return transport
        }
    }
}

extension HTTPField.Name {
    /// `Host`, which HTTPTypes leaves to the pseudo header field `:authority`.
    fileprivate static let host = HTTPField.Name(known: "Host")

    private init(known name: String) {
        guard let parsed = HTTPField.Name(name) else { preconditionFailure("\(name) is a valid field name.") }
        self = parsed
    }
}
#endif
