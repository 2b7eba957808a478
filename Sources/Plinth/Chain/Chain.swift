// SPDX-License-Identifier: Apache-2.0

import Tracing

/// A list of interceptors that requests run through.
///
/// If a tracer is bootstrapped, each request gets a span of kind `server` named `METHOD pattern`, which continues the
/// trace of the request's headers. Its context is bound to the task while the stages run. The span ends with the last
/// stage and does not cover the body of an event stream or another long response.
public struct Chain: Sendable {
    /// The interceptors, in entry order.
    public let interceptors: [Interceptor]

    /// Creates a chain of interceptors.
    public init(_ interceptors: [Interceptor]) {
        self.interceptors = interceptors
    }

    /// The result of running a request.
    package struct Outcome: Sendable {
        /// The response; a 404 if no interceptor set one.
        package var response: Response
        /// Whether an interceptor already sent the head.
        package var isHeadSent: Bool
        /// The request after the last stage, including its route, for metrics.
        package var request: Request
        /// The last error that a stage threw, handled or not; nil if none threw.
        package var lastError: (any Error)?
    }

    /// Runs a request through all stages, in a span if a tracer is bootstrapped.
    package func execute(_ request: Request, on exchange: any Exchange) async -> Outcome {
        await finish(start(request, on: exchange))
    }

    /// Runs the stages up to the first that has to wait.
    ///
    /// If a tracer is bootstrapped, none: the span's context is bound to a task.
    package func start(_ request: Request, on exchange: any Exchange) -> ChainRun {
        var run = ChainRun(Context(request: request, interceptors: interceptors, exchange: exchange))
        if Self.tracer == nil { run.runNow() }
        return run
    }

    /// Runs the stages that are left after ``start(_:on:)``.
    package func finish(_ run: ChainRun) async -> Outcome {
        guard !run.isOver, let tracer = Self.tracer else { return await Self.complete(run) }
        return await traced(by: tracer, run.request) { await Self.complete(run) }
    }

    private static func complete(_ run: ChainRun) async -> Outcome {
        var run = run
        await run.run()
        return run.outcome()
    }

    /// The tracer, if one is bootstrapped.
    private static var tracer: (any Tracer)? {
        // Accessing the tracer takes a protocol cast of about 0.2 µs; this check avoids it.
        if InstrumentationSystem.instrument is NoOpInstrument { return nil }
        let tracer = InstrumentationSystem.tracer
        return tracer is NoOpTracer ? nil : tracer
    }
}
