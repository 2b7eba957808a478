// SPDX-License-Identifier: Apache-2.0

extension Response {
    /// Creates a response whose body is an event stream, with the header fields it needs.
    ///
    /// - `Content-Type: text/event-stream; charset=UTF-8`.
    /// - `Cache-Control: no-cache, no-transform`: `no-transform` keeps compressing middleware and proxies from changing
    ///   the stream (RFC 9111, section 5.2.2.6).
    /// - `Incremental: ?1` asks every proxy to forward what it receives at once (RFC 10036).
    /// - `X-Accel-Buffering: no` asks nginx for the same.
    ///
    /// On HTTP/1, the connector adds `Connection: close`.
    ///
    /// - Parameters:
    ///   - stream: The stream.
    ///   - headers: Additional header fields; they replace those above. Default: none.
    /// - Returns: The response, with status 200.
    public static func eventStream(_ stream: EventStream, headers: HTTPFields = [:]) -> Response {
        Response(headers: eventStreamHeaders(headers), body: .eventStream(stream))
    }

    /// Creates a response whose event stream is handed off by the connector.
    package static func handedOff(_ body: any HandedOffBody, headers: HTTPFields = [:]) -> Response {
        Response(headers: eventStreamHeaders(headers), body: ResponseBody(storage: .handedOff(body)))
    }

    private static func eventStreamHeaders(_ headers: HTTPFields) -> HTTPFields {
        var fields: HTTPFields = [
            .contentType: "text/event-stream; charset=UTF-8",
            .cacheControl: "no-cache, no-transform",
            .incremental: "?1",
            .accelBuffering: "no",
        ]
        for field in headers { fields[field.name] = nil }
        fields.append(contentsOf: headers)
        return fields
    }
}

extension HTTPField.Name {
    /// `Incremental`: whether intermediaries forward a message as it arrives (RFC 10036).
    package static let incremental: HTTPField.Name = {
        guard let name = HTTPField.Name("Incremental") else { preconditionFailure("A field's name is a token.") }
        return name
    }()

    /// `X-Accel-Buffering`: whether nginx buffers the response.
    static let accelBuffering: HTTPField.Name = {
        guard let name = HTTPField.Name("X-Accel-Buffering") else { preconditionFailure("A field's name is a token.") }
        return name
    }()
}

extension Context {
    /// Answers the request with an event stream, from within an interceptor.
    ///
    /// The stream stays open after the ready function returns, until its channel is closed or the client leaves; the
    /// channel may be kept and used from any task. With `lifetime: .scoped` the stream ends when the ready function
    /// returns.
    ///
    /// ```swift
    /// try await context.startEventStream { events in registry.add(events) }
    /// ```
    ///
    /// - Parameters:
    ///   - options: The stream's options. Default: every option's own default.
    ///   - lifetime: Whether the stream ends when the ready function returns. Default: it stays open.
    ///   - sendHead: Whether to write the head now, before the leave stages run. Unless the lifetime is `.scoped`, the
    ///     ready function then also runs before this method returns. Avoid it: header fields that leave stages add,
    ///     such as CORS and secure headers, do not reach the client. Default: false.
    ///   - headers: Additional header fields of the response. Default: none.
    ///   - onDisconnect: Receives the reason for the stream's end, once. Default: none.
    ///   - ready: Receives the channel once events may be sent.
    /// - Throws: Any error that the ready function throws before its first event, if the stream opens with that event.
    ///   `SendHeadError` if the head was already sent; `CancellationError` if the client has left.
    public mutating func startEventStream(
        options: EventStreamOptions = EventStreamOptions(),
        lifetime: EventStream.Lifetime = .open,
        sendHead: Bool = false,
        headers: HTTPFields = [:],
        onDisconnect: EventStream.OnDisconnect? = nil,
        _ ready: @escaping EventStream.Ready
    ) async throws {
        let stream = try await EventStream.opening(
            options: options,
            lifetime: lifetime,
            onDisconnect: onDisconnect,
            logger: request.logger,
            ready: ready
        )
        response = .eventStream(stream, headers: headers)
        if sendHead {
            try await self.sendHead()
            // Without a connection there is nothing to start: the request is `HEAD`.
            guard lifetime == .open, stream.channel.isAttached else { return }
            stream.start(logger: request.logger)
            await stream.returned()
        }
    }
}
