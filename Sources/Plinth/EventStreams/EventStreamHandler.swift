// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A plain handler that answers with an event stream: `ring.sse`, for code that needs no interceptors.
///
/// ```swift
/// Route.get("/ticks", eventStreamHandler { events, request in
///     await events.send("hello")
/// })
/// ```
///
/// - Parameters:
///   - options: Heartbeat, buffer, and when it opens; all defaults unless given.
///   - onDisconnect: Is told why the stream ended, once.
///   - body: Sends events. Its task is cancelled when the client leaves; the stream ends when it returns.
/// - Returns: A handler.
public func eventStreamHandler(
    options: EventStreamOptions = EventStreamOptions(),
    onDisconnect: EventStream.OnDisconnect? = nil,
    _ body: @escaping @Sendable (EventChannel, Request) async throws -> Void
) -> @Sendable (Request) async throws -> Response {
    { request in
        let stream = try await EventStream.opening(
            options: options,
            lifetime: .scoped,
            onDisconnect: onDisconnect,
            logger: request.logger
        ) { try await body($0, request) }
        return .eventStream(stream)
    }
}

/// A plain handler whose event stream stays open after its ready function.
///
/// - Parameters:
///   - options: Heartbeat, buffer, and when it opens; all defaults unless given.
///   - onDisconnect: Is told why the stream ended, once, and what the ready function returned: nil if it threw, or was never
///     called because the client had left before.
///   - ready: Gets the channel once events may flow, and may keep it.
/// - Returns: A handler.
public func openEventStreamHandler<Result: Sendable>(
    options: EventStreamOptions = EventStreamOptions(),
    onDisconnect: (@Sendable (StreamEnd, Result?) async -> Void)? = nil,
    _ ready: @escaping @Sendable (EventChannel, Request) async throws -> Result
) -> @Sendable (Request) async throws -> Response {
    { request in
        let result = ReadyResult<Result>()
        var tell: EventStream.OnDisconnect?
        if let onDisconnect {
            tell = { reason in await onDisconnect(reason, result.value) }
        }
        let stream = try await EventStream.opening(
            options: options,
            lifetime: .open,
            onDisconnect: tell,
            logger: request.logger
        ) { events in
            result.value = try await ready(events, request)
        }
        return .eventStream(stream)
    }
}

/// What a ready function returned, for the function that is told of the end.
private final class ReadyResult<Value: Sendable>: Sendable {
    private let storage = Mutex<Value?>(nil)

    var value: Value? {
        get { storage.withLock { $0 } }
        set { storage.withLock { $0 = newValue } }
    }
}
