// SPDX-License-Identifier: Apache-2.0

/// One request on its way through the stages.
struct ChainRun {
    private var context: Context
    /// The error under way, if any.
    private var failure: ChainError?
    /// How many errors there have been, which tells them apart.
    private var failures = 0
    /// What was thrown last, handled or not.
    private var lastError: (any Error)?

    init(_ context: Context) {
        self.context = context
    }

    /// Enters interceptors until one sets a response, terminates or throws, or until none is left.
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

    /// Leaves those that were entered, the last one first; while an error is under way, through their error stages.
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
                    // Passed on as it is.
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

    /// The response that the stages left, or the one that stands for an error that nobody handled.
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
                ?? HTTPError(.notFound, "nothing here answers this request").response,
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

    /// The response's mark before a stage, if its head was already sent then.
    private var sentMark: Int? { context.isResponseSent ? context.responseChanges : nil }

    /// Logs a stage that changed a response whose head was already with the client.
    private func check(_ mark: Int?, _ interceptor: Interceptor) {
        guard let mark, mark != context.responseChanges else { return }
        context.request.logger.error(
            "an interceptor changed a response that had been sent; the change has no effect",
            metadata: ["interceptor": "\(interceptor.name)", "request-id": "\(context.request.id)"]
        )
    }
}
