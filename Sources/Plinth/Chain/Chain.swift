// SPDX-License-Identifier: Apache-2.0

/// A list of interceptors, and the execution of requests through it.
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
    }

    /// Runs a request through the stages.
    package func execute(_ request: Request, on exchange: any Exchange) async -> Outcome {
        var run = ChainRun(Context(request: request, interceptors: interceptors, exchange: exchange))
        await run.enter()
        await run.leave()
        return run.finish()
    }
}
