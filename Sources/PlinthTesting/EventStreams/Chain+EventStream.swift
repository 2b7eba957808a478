// SPDX-License-Identifier: Apache-2.0

public import Plinth

extension Chain {
    /// Runs a request that is answered with an event stream, without a socket; the test acts as the client.
    ///
    /// Returns once the head has been sent. The request continues in a separate task, as on a server.
    ///
    /// - Parameters:
    ///   - request: The request.
    ///   - clock: The clock for heartbeats and time limits. Default: a new one, available as ``TestEventStream/clock``.
    ///   - stalled: Whether the client starts stalled. Default: false.
    ///   - timeout: The timeout for the head and for each expectation, in real time. Default: 30 s.
    /// - Returns: The stream.
    /// - Throws: ``NotAnEventStream`` if the response is not an event stream; ``TestTimeout`` if there is none within
    ///   `timeout`; `CancellationError` if the task is cancelled, which disconnects the client before the head.
    public func eventStream(
        for request: Request,
        clock: ManualClock = ManualClock(),
        stalled: Bool = false,
        timeout: Duration = .seconds(30)
    ) async throws -> TestEventStream {
        try await eventStream(for: request, clock: clock, stalled: stalled, timeout: timeout, metrics: nil)
    }

    /// Same as the public overload, with metrics.
    package func eventStream(
        for request: Request,
        clock: ManualClock = ManualClock(),
        stalled: Bool = false,
        timeout: Duration = .seconds(30),
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
            throw TestTimeout("expected the head of the response to \(what); none arrived within \(timeout)")
        }
        guard connection.isStreaming else {
            var body = ""
            if case .bytes(let bytes) = response.body.storage { body = String(decoding: bytes, as: UTF8.self) }
            throw NotAnEventStream(status: response.status, headers: response.headers, body: body)
        }
        return TestEventStream(connection, response, route, timeout: timeout)
    }
}
