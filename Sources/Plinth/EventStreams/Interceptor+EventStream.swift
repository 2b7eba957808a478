// SPDX-License-Identifier: Apache-2.0

extension Interceptor {
    /// Answers with an event stream that ends when a closure returns.
    ///
    /// ```swift
    /// let counter = Interceptor.eventStream("counter") { events, context in
    ///     for n in 1...10 {
    ///         guard await events.send(.init(type: "counter", data: "\(n)")) else { return }
    ///         try await Task.sleep(for: .seconds(1))
    ///     }
    /// }
    /// ```
    ///
    /// The closure receives a copy of the context; changing it has no effect.
    ///
    /// - Parameters:
    ///   - name: The interceptor's name in logs and error messages.
    ///   - options: The stream's options. Default: every option's own default.
    ///   - onDisconnect: Receives the reason for the stream's end, once. Default: none.
    ///   - body: Sends events. Its task is cancelled when the client leaves; the stream ends when it returns.
    /// - Returns: The interceptor.
    public static func eventStream(
        _ name: String,
        options: EventStreamOptions = EventStreamOptions(),
        onDisconnect: EventStream.OnDisconnect? = nil,
        _ body: @escaping @Sendable (EventChannel, Context) async throws -> Void
    ) -> Interceptor {
        Interceptor(
            name,
            enter: { context in
                let snapshot = context.forReadyFunction
                try await context.startEventStream(options: options, lifetime: .scoped, onDisconnect: onDisconnect) {
                    try await body($0, snapshot)
                }
            }
        )
    }

    /// Answers with an event stream of a sequence's events.
    ///
    /// - Parameters:
    ///   - name: The interceptor's name in logs and error messages.
    ///   - options: The stream's options. Default: every option's own default.
    ///   - onDisconnect: Receives the reason for the stream's end, once. Default: none.
    ///   - sequence: Creates the sequence for a request. It is iterated no faster than the client reads, and its task
    ///     is cancelled when the client leaves.
    /// - Returns: The interceptor.
    public static func eventStream<Events: AsyncSequence & SendableMetatype>(
        _ name: String,
        options: EventStreamOptions = EventStreamOptions(),
        onDisconnect: EventStream.OnDisconnect? = nil,
        _ sequence: @escaping @Sendable (Context) async throws -> Events
    ) -> Interceptor where Events.Element == ServerSentEvent, Events.AsyncIterator: SendableMetatype {
        eventStream(name, options: options, onDisconnect: onDisconnect) { events, context in
            for try await event in try await sequence(context) {
                guard await events.send(event) else { return }
            }
        }
    }

    /// Answers with an event stream of a sequence's strings, each the data of one event.
    ///
    /// - Parameters:
    ///   - name: The interceptor's name in logs and error messages.
    ///   - options: The stream's options. Default: every option's own default.
    ///   - onDisconnect: Receives the reason for the stream's end, once. Default: none.
    ///   - sequence: Creates the sequence for a request, as for a sequence of events.
    /// - Returns: The interceptor.
    public static func eventStream<Texts: AsyncSequence & SendableMetatype>(
        _ name: String,
        options: EventStreamOptions = EventStreamOptions(),
        onDisconnect: EventStream.OnDisconnect? = nil,
        _ sequence: @escaping @Sendable (Context) async throws -> Texts
    ) -> Interceptor where Texts.Element == String, Texts.AsyncIterator: SendableMetatype {
        eventStream(name, options: options, onDisconnect: onDisconnect) { events, context in
            for try await text in try await sequence(context) {
                guard await events.send(text) else { return }
            }
        }
    }

    /// Answers with an event stream of a sequence's values, each encoded as JSON in the data of one event.
    ///
    /// - Parameters:
    ///   - name: The interceptor's name in logs and error messages.
    ///   - options: The stream's options. Default: every option's own default.
    ///   - onDisconnect: Receives the reason for the stream's end, once. Default: none.
    ///   - sequence: Creates the sequence for a request, as for a sequence of events.
    /// - Returns: The interceptor.
    public static func eventStream<Values: AsyncSequence & SendableMetatype>(
        _ name: String,
        options: EventStreamOptions = EventStreamOptions(),
        onDisconnect: EventStream.OnDisconnect? = nil,
        _ sequence: @escaping @Sendable (Context) async throws -> Values
    ) -> Interceptor where Values.Element: Encodable & SendableMetatype, Values.AsyncIterator: SendableMetatype {
        eventStream(name, options: options, onDisconnect: onDisconnect) { events, context in
            for try await value in try await sequence(context) {
                guard try await events.send(value) else { return }
            }
        }
    }
}
