// SPDX-License-Identifier: Apache-2.0

extension Interceptor {
    /// An event stream that lasts as long as a closure.
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
    /// The closure's context has the request and the values as they were; changing it changes nothing any more.
    ///
    /// - Parameters:
    ///   - name: What logs and error messages call the interceptor.
    ///   - options: Heartbeat, buffer, and when it opens; all defaults unless given.
    ///   - onDisconnect: Is told why the stream ended, once.
    ///   - body: Sends events. Its task is cancelled when the client leaves; the stream ends when it returns.
    /// - Returns: An interceptor that answers with the stream.
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

    /// An event stream of the events of a sequence.
    ///
    /// - Parameters:
    ///   - name: What logs and error messages call the interceptor.
    ///   - options: Heartbeat, buffer, and when it opens; all defaults unless given.
    ///   - onDisconnect: Is told why the stream ended, once.
    ///   - sequence: Makes the sequence for a request. It is read no faster than the client reads, and its task is
    ///     cancelled when the client leaves.
    /// - Returns: An interceptor that answers with the stream.
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

    /// An event stream of the texts of a sequence, each the data of an event.
    ///
    /// - Parameters:
    ///   - name: What logs and error messages call the interceptor.
    ///   - options: Heartbeat, buffer, and when it opens; all defaults unless given.
    ///   - onDisconnect: Is told why the stream ended, once.
    ///   - sequence: Makes the sequence for a request, as for a sequence of events.
    /// - Returns: An interceptor that answers with the stream.
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

    /// An event stream of the values of a sequence, each as JSON the data of an event.
    ///
    /// - Parameters:
    ///   - name: What logs and error messages call the interceptor.
    ///   - options: Heartbeat, buffer, and when it opens; all defaults unless given.
    ///   - onDisconnect: Is told why the stream ended, once.
    ///   - sequence: Makes the sequence for a request, as for a sequence of events.
    /// - Returns: An interceptor that answers with the stream.
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
