// SPDX-License-Identifier: Apache-2.0

public import Plinth

/// An event stream as its client sees it, without a socket: reads it, stalls, leaves, and lets its time pass.
///
/// ```swift
/// let stream = try await chain.eventStream(for: .get("/counter"))
/// #expect(stream.headers[.contentType] == "text/event-stream; charset=UTF-8")
/// try await stream.expectEvent(type: "counter", data: "1")
/// stream.leave()
/// try await stream.expectEnd(.clientClosed)
/// ```
///
/// The client reads what there is at once, unless ``stall()`` holds it up. Nothing here waits for ever: what does not come
/// within ``timeout`` is an error that says what had come instead.
///
/// The client leaves when the last reference to this goes.
public final class TestEventStream: Sendable {
    /// The status of the response.
    public let status: HTTPResponse.Status
    /// The header fields of the response, without those of a connector.
    public let headers: HTTPFields
    /// The route that matched, if any did.
    public let route: RouteIdentity?
    /// The clock by which heartbeats and time limits of the stream go.
    public let clock: ManualClock
    /// How long is waited for anything, in real time.
    public let timeout: Duration

    let connection: TestConnection

    init(_ connection: TestConnection, _ head: Response, _ route: RouteIdentity?, timeout: Duration = .seconds(5)) {
        self.connection = connection
        self.status = head.status
        self.headers = head.headers
        self.route = route
        self.clock = connection.clock
        self.timeout = timeout
    }

    deinit {
        connection.leave(.clientClosed)
    }

    // MARK: - What has come

    /// All parts that the client has read by now, whether or not the test has taken them.
    public var received: [EventStreamPart] { connection.received.read(\.parts) }

    /// All bytes that the client has read by now.
    public var receivedBytes: [UInt8] { connection.received.read(\.bytes) }

    /// The events among ``received``.
    public var receivedEvents: [ServerSentEvent] {
        received.compactMap { if case .event(let event) = $0 { event } else { nil } }
    }

    /// The last event ID as a client keeps it to resume.
    public var lastEventID: String { connection.received.read { $0.parser.lastEventID } }

    /// The reconnection time as a client keeps it, nil unless the stream has set it.
    public var reconnectionTime: Duration? { connection.received.read { $0.parser.reconnectionTime } }

    // MARK: - What the client does

    /// The client leaves: the request's task is cancelled and the stream is over.
    ///
    /// - Parameter reason: What the server makes of it; the client has closed the connection unless given.
    public func leave(_ reason: StreamEnd = .clientClosed) {
        connection.leave(reason)
    }

    /// The client reads nothing any more until ``resume()``: events stay in the stream's buffer.
    public func stall() {
        connection.stall()
    }

    /// The client reads again.
    public func resume() {
        connection.resume()
    }

    // MARK: - What the server does

    /// The server begins to shut down: the stream ends when what is buffered has gone out.
    public func drain() {
        connection.drain()
    }

    /// Lets time pass, for the stream and for all others on its ``clock``.
    ///
    /// - Parameter duration: How much time.
    public func advance(by duration: Duration) {
        clock.advance(by: duration)
    }
}
