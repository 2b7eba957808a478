// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Creates a handler that answers with an event stream, like `ring.sse`, for code that needs no interceptors.
///
/// ```swift
/// Route.get("/ticks", eventStreamHandler { events, request in
///     await events.send("hello")
/// })
/// ```
///
/// - Parameters:
///   - options: The stream's options. Default: every option's own default.
///   - onDisconnect: Receives the reason for the stream's end, once. Default: none.
///   - body: Sends events. Its task is cancelled when the client leaves; the stream ends when it returns.
/// - Returns: The handler.
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

/// Creates a handler whose event stream stays open after its ready function returns.
///
/// - Parameters:
///   - options: The stream's options. Default: every option's own default.
///   - onDisconnect: Receives, once, the reason for the stream's end and the ready function's result: nil if that
///     threw, or was not called because the client had already left. Default: none.
///   - ready: Receives the channel once events may be sent, and may keep it.
/// - Returns: The handler.
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

/// A ready function's result, kept for `onDisconnect`.
private final class ReadyResult<Value: Sendable>: Sendable {
    private let storage = Mutex<Value?>(nil)

    var value: Value? {
        get { storage.withLock { $0 } }
        set { storage.withLock { $0 = newValue } }
    }
}
