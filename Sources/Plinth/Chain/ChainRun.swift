// SPDX-License-Identifier: Apache-2.0

/// The execution of one request through the stages.
struct ChainRun {
    private var context: Context
    /// The unhandled error, if any.
    private var failure: ChainError?
    /// The number of errors so far; the source of serial numbers.
    private var failures = 0
    /// The last thrown error, handled or not.
    private var lastError: (any Error)?

    init(_ context: Context) {
        self.context = context
    }

    /// Runs `enter` stages until one sets a response, terminates or throws, or the queue is empty.
    mutating func enter() async {
        while context.entered < context.queue.count, !context.isTerminated, context.response == nil {
            let interceptor = context.queue[context.entered]
            context.entered += 1
            guard let stage = interceptor.enter else { continue }
            let sent = sentMark
            do {
                try await stage(&context)
            } catch {
                fail(error, interceptor, .enter)
                return
            }
            check(sent, interceptor)
        }
    }

    /// Runs the `leave` stages of the entered interceptors in reverse order, or their `error` stages while an error is
    /// unhandled.
    mutating func leave() async {
        while context.entered > 0 {
            context.entered -= 1
            let interceptor = context.queue[context.entered]
            if let failure {
                guard let stage = interceptor.error else { continue }
                let sent = sentMark
                do {
                    try await stage(&context, failure)
                    self.failure = nil
                } catch let same as ChainError where same.serial == failure.serial {
                    // Rethrown unchanged.
                } catch {
                    fail(error, interceptor, .error)
                }
                check(sent, interceptor)
            } else if let stage = interceptor.leave {
                let sent = sentMark
                do {
                    try await stage(&context)
                } catch {
                    fail(error, interceptor, .leave)
                }
                check(sent, interceptor)
            }
        }
    }

    /// Returns the response set by the stages, or the response to an unhandled error.
    mutating func finish() -> Chain.Outcome {
        if let failure {
            let answer = failure.answer(to: context.request)
            if !context.isResponseSent {
                context.response?.body.eventStream?.abandon(.applicationFailed)
                context.response = answer
            }
        }
        return Chain.Outcome(
            response: context.sentResponse ?? context.response
                ?? HTTPError(.notFound, "no resource matches this request").response,
            isHeadSent: context.isResponseSent,
            request: context.request,
            lastError: lastError
        )
    }

    private mutating func fail(_ error: any Error, _ interceptor: Interceptor, _ stage: ChainError.Stage) {
        failures += 1
        lastError = error
        var suppressed: [any Error] = []
        if let failure { suppressed = failure.suppressed + [failure.cause] }
        failure = ChainError(
            cause: error,
            interceptor: interceptor.name,
            stage: stage,
            requestID: context.request.id,
            suppressed: suppressed,
            serial: failures
        )
    }

    /// The number of response changes so far if the head has been sent, nil otherwise.
    private var sentMark: Int? { context.isResponseSent ? context.responseChanges : nil }

    /// Logs an error if a stage changed the response after its head was sent.
    private func check(_ mark: Int?, _ interceptor: Interceptor) {
        guard let mark, mark != context.responseChanges else { return }
        context.request.logger.error(
            "interceptor changed the response after its head was sent; the change has no effect",
            metadata: ["interceptor": "\(interceptor.name)", "request-id": "\(context.request.id)"]
        )
    }
}
