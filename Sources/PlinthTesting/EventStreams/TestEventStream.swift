// SPDX-License-Identifier: Apache-2.0

public import Plinth

/// The client side of an event stream, without a socket: reads, stalls, disconnects, and advances time.
///
/// ```swift
/// let stream = try await chain.eventStream(for: .get("/counter"))
/// #expect(stream.headers[.contentType] == "text/event-stream; charset=UTF-8")
/// try await stream.expectEvent(type: "counter", data: "1")
/// stream.leave()
/// try await stream.expectEnd(.clientClosed)
/// ```
///
/// The client reads immediately, unless stalled with ``stall()``. Every wait is bounded: if an expected part does not
/// arrive within ``timeout``, the expectation throws an error that lists what was received.
///
/// The client disconnects when the last reference is released.
public final class TestEventStream: Sendable {
    /// The status of the response.
    public let status: HTTPResponse.Status
    /// The header fields of the response, without those added by a connector.
    public let headers: HTTPFields
    /// The matched route, if any.
    public let route: RouteIdentity?
    /// The clock for the stream's heartbeats and time limits.
    public let clock: ManualClock
    /// The timeout of each expectation, in real time.
    public let timeout: Duration

    let connection: TestConnection

    init(_ connection: TestConnection, _ head: Response, _ route: RouteIdentity?, timeout: Duration = .seconds(30)) {
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

    /// All parts that the client has read so far, including those consumed by the test.
    public var received: [EventStreamPart] { connection.received.read(\.parts) }

    /// All bytes that the client has read so far.
    public var receivedBytes: [UInt8] { connection.received.read(\.bytes) }

    /// The events among ``received``.
    public var receivedEvents: [ServerSentEvent] {
        received.compactMap { if case .event(let event) = $0 { event } else { nil } }
    }

    /// The last event ID that the client would resume from.
    public var lastEventID: String { connection.received.read { $0.parser.lastEventID } }

    /// The client's reconnection time; nil unless the stream has set it.
    public var reconnectionTime: Duration? { connection.received.read { $0.parser.reconnectionTime } }

    // MARK: - What the client does

    /// Disconnects the client: the request's task is cancelled and the stream ends.
    ///
    /// - Parameter reason: The reason that the server records. Default: ``/Plinth/StreamEnd/clientClosed``.
    public func leave(_ reason: StreamEnd = .clientClosed) {
        connection.leave(reason)
    }

    /// Stops the client from reading until ``resume()``: events stay in the stream's buffer.
    public func stall() {
        connection.stall()
    }

    /// Lets the client read again.
    public func resume() {
        connection.resume()
    }

    // MARK: - What the server does

    /// Starts the server's shutdown: the stream ends after its buffer is drained.
    public func drain() {
        connection.drain()
    }

    /// Advances the ``clock``, for this stream and all others that use it.
    ///
    /// - Parameter duration: The time to advance by.
    public func advance(by duration: Duration) {
        clock.advance(by: duration)
    }
}
