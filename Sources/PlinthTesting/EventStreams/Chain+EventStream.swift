// SPDX-License-Identifier: Apache-2.0

public import Plinth

extension Chain {
    /// Runs a request that is answered with an event stream, without a socket, and lets a test be its client.
    ///
    /// It returns when the head has been written. The request goes on in a task of its own, as on a server.
    ///
    /// - Parameters:
    ///   - request: The request.
    ///   - clock: The time by which heartbeats and time limits go; a clock of its own unless given, which is
    ///     ``TestEventStream/clock``.
    ///   - stalled: Whether the client reads nothing at first; it reads unless told so.
    ///   - timeout: How long the stream's expectations wait, in real time; 5 seconds unless given.
    /// - Returns: The stream.
    /// - Throws: ``NotAnEventStream`` if the answer is something else; ``TestTimeout`` if there is none in time;
    ///   `CancellationError` if the task is cancelled, which is to leave before the head has come.
    public func eventStream(
        for request: Request,
        clock: ManualClock = ManualClock(),
        stalled: Bool = false,
        timeout: Duration = .seconds(5)
    ) async throws -> TestEventStream {
        try await eventStream(for: request, clock: clock, stalled: stalled, timeout: timeout, metrics: nil)
    }

    /// The same, counted.
    package func eventStream(
        for request: Request,
        clock: ManualClock = ManualClock(),
        stalled: Bool = false,
        timeout: Duration = .seconds(5),
        metrics: EventStreamMetricsRegistry?
    ) async throws -> TestEventStream {
        let connection = TestConnection(clock: clock, metrics: metrics, isStalled: stalled)
        connection.open(request, self)
        let head: (Response, RouteIdentity?)?
        do {
            head = try await connection.received.wait(within: timeout) { received in
                received.head.map { ($0, received.route) }
            }
        } catch {
            connection.leave(.clientClosed)
            throw error
        }
        guard let (response, route) = head else {
            connection.leave(.clientClosed)
            let what = "\(request.method) \(request.path)"
            throw TestTimeout("awaited the head of the response to \(what); none came within \(timeout)")
        }
        guard connection.isStreaming else {
            var body = ""
            if case .bytes(let bytes) = response.body.storage { body = String(decoding: bytes, as: UTF8.self) }
            throw NotAnEventStream(status: response.status, headers: response.headers, body: body)
        }
        return TestEventStream(connection, response, route, timeout: timeout)
    }
}
