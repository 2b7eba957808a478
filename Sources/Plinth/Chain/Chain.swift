// SPDX-License-Identifier: Apache-2.0

import Tracing

/// A list of interceptors, and the execution of requests through it.
///
/// If a tracer is bootstrapped, each request is a span of kind `server`, whose context is bound to the task while the
/// stages run: named `METHOD pattern`, continued from the request's headers. It ends with the last stage: what an
/// event stream or another long body does later is not in it.
public struct Chain: Sendable {
    /// The interceptors in the order in which they are entered.
    public let interceptors: [Interceptor]

    /// A chain of these interceptors.
    public init(_ interceptors: [Interceptor]) {
        self.interceptors = interceptors
    }

    /// What came of a request.
    package struct Outcome: Sendable {
        /// The response; always one, even if no interceptor set any.
        package var response: Response
        /// Whether an interceptor has sent the head itself.
        package var isHeadSent: Bool
        /// The request as the last interceptor left it: with its route, for metrics.
        package var request: Request
        /// What a stage threw last, handled or not; nil if none threw.
        package var lastError: (any Error)?
    }

    /// Runs a request through the stages, in a span if a tracer is bootstrapped.
    package func execute(_ request: Request, on exchange: any Exchange) async -> Outcome {
        // Asking for the tracer casts between protocols, which takes a fifth of a microsecond; this does not.
        if InstrumentationSystem.instrument is NoOpInstrument { return await run(request, on: exchange) }
        let tracer = InstrumentationSystem.tracer
        if tracer is NoOpTracer { return await run(request, on: exchange) }
        return await traced(by: tracer, request) { await run(request, on: exchange) }
    }

    private func run(_ request: Request, on exchange: any Exchange) async -> Outcome {
        var run = ChainRun(Context(request: request, interceptors: interceptors, exchange: exchange))
        await run.enter()
        await run.leave()
        return run.finish()
    }
}
