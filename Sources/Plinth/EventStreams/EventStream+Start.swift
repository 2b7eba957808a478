// SPDX-License-Identifier: Apache-2.0

extension Response {
    /// A response whose body is an event stream, with the header fields it needs.
    ///
    /// `Content-Type: text/event-stream; charset=UTF-8`, `Cache-Control: no-cache, no-transform`, whose second word tells
    /// compressing middleware and proxies to leave the stream alone (RFC 9111, section 5.2.2.6), and
    /// `X-Accel-Buffering: no`, which tells nginx not to hold events back. The connector adds `Connection: close` on HTTP/1.
    ///
    /// - Parameters:
    ///   - stream: The stream.
    ///   - headers: More header fields; they replace those above.
    /// - Returns: The response, with status 200.
    public static func eventStream(_ stream: EventStream, headers: HTTPFields = [:]) -> Response {
        Response(headers: eventStreamHeaders(headers), body: .eventStream(stream))
    }

    /// A response whose body is an event stream that something other than the connector sends.
    package static func handedOff(_ body: any HandedOffBody, headers: HTTPFields = [:]) -> Response {
        Response(headers: eventStreamHeaders(headers), body: ResponseBody(storage: .handedOff(body)))
    }

    private static func eventStreamHeaders(_ headers: HTTPFields) -> HTTPFields {
        var fields: HTTPFields = [
            .contentType: "text/event-stream; charset=UTF-8",
            .cacheControl: "no-cache, no-transform",
            .accelBuffering: "no",
        ]
        for field in headers { fields[field.name] = nil }
        fields.append(contentsOf: headers)
        return fields
    }
}

extension HTTPField.Name {
    /// `X-Accel-Buffering`, by which a response tells nginx whether to buffer it.
    static let accelBuffering: HTTPField.Name = {
        guard let name = HTTPField.Name("X-Accel-Buffering") else { preconditionFailure("A field's name is a token.") }
        return name
    }()
}

extension Context {
    /// Answers the request with an event stream: the interceptor's way, with all that it may do besides.
    ///
    /// The stream stays open when the ready function has returned, until someone closes its channel or the client leaves:
    /// the channel may be kept and used from anywhere. With `lifetime: .scoped` it ends with the ready function.
    ///
    /// ```swift
    /// try await context.startEventStream { events in registry.add(events) }
    /// ```
    ///
    /// - Parameters:
    ///   - options: Heartbeat, buffer, and when it opens; all defaults unless given.
    ///   - lifetime: Whether the stream ends with the ready function; it does not unless told so.
    ///   - sendHead: Whether to write the head at once and start, before the leave stages have run: when this returns, the
    ///     ready function has run, unless the stream ends with it. Prefer not to: what leave stages add, such as CORS and
    ///     secure headers, does not reach the client then.
    ///   - headers: More header fields of the response.
    ///   - onDisconnect: Is told why the stream ended, once.
    ///   - ready: Gets the channel once events may flow.
    /// - Throws: What the ready function throws before its first event, if the stream opens with that. `SendHeadError`
    ///   if the head was sent before; `CancellationError` if the client has left.
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
            await stream.startEarly(logger: request.logger)
        }
    }
}
