// SPDX-License-Identifier: Apache-2.0

/// The execution of one request through the stages.
package struct ChainRun: Sendable {
    /// A stage that has to wait.
    private struct Waiting {
        let interceptor: Interceptor
        let kind: ChainError.Stage
        let stage: Interceptor.Stage
    }

    private var context: Context
    private var isEntering = true
    /// The stage that is next, if it has to wait.
    private var waiting: Waiting?
    /// The unhandled error, if any.
    private var failure: ChainError?
    /// The number of errors so far; the source of serial numbers.
    private var failures = 0
    /// The last thrown error, handled or not.
    private var lastError: (any Error)?
    /// Whether all stages have run.
    package private(set) var isOver = false

    init(_ context: Context) {
        self.context = context
    }

    /// The request, as the stages have changed it.
    var request: Request { context.request }

    /// Runs all stages.
    mutating func run() async {
        runNow()
        while let next = waiting {
            waiting = nil
            let sent = sentMark
            do {
                try await next.stage(&context)
                settle(nil, next.kind, next.interceptor, sent)
            } catch {
                settle(error, next.kind, next.interceptor, sent)
            }
            runNow()
        }
    }

    /// Runs stages up to the first that has to wait.
    mutating func runNow() {
        while waiting == nil, let interceptor = next() {
            let sent = sentMark
            let kind: ChainError.Stage = isEntering ? .enter : failure == nil ? .leave : .error
            do {
                guard let stage = try runNow(interceptor, kind) else {
                    settle(nil, kind, interceptor, sent)
                    continue
                }
                waiting = Waiting(interceptor: interceptor, kind: kind, stage: stage)
            } catch {
                settle(error, kind, interceptor, sent)
            }
        }
    }

    /// The next interceptor, in order of entry until one sets a response, terminates or throws, or the queue is empty;
    /// then in reverse.
    private mutating func next() -> Interceptor? {
        if isEntering {
            if context.entered < context.queue.count, !context.isTerminated, context.response == nil {
                context.entered += 1
                return context.queue[context.entered - 1]
            }
            isEntering = false
        }
        guard context.entered > 0 else {
            isOver = true
            return nil
        }
        context.entered -= 1
        return context.queue[context.entered]
    }

    /// Runs a stage of an interceptor, if it has one.
    ///
    /// - Returns: The stage, if it has to wait.
    private mutating func runNow(_ interceptor: Interceptor, _ kind: ChainError.Stage) throws -> Interceptor.Stage? {
        switch kind {
        case .enter:
            switch interceptor.enter {
            case .immediate(let stage): return try stage(&context)
            case .waiting(let stage): return stage
            case nil: return nil
            }
        case .leave:
            switch interceptor.leave {
            case .immediate(let stage): return try stage(&context)
            case .waiting(let stage): return stage
            case nil: return nil
            }
        case .error:
            guard let failure else { return nil }
            switch interceptor.error {
            case .immediate(let stage): try stage(&context, failure)
            case .waiting(let stage): return { try await stage(&$0, failure) }
            // Passed on.
            case nil: throw failure
            }
            return nil
        }
    }

    /// Takes note of how a stage ended.
    private mutating func settle(
        _ error: (any Error)?,
        _ kind: ChainError.Stage,
        _ interceptor: Interceptor,
        _ sent: Int?
    ) {
        if let error {
            isEntering = false
            // Otherwise rethrown unchanged.
            if kind != .error || (error as? ChainError)?.serial != failure?.serial { fail(error, interceptor, kind) }
        } else if kind == .error {
            failure = nil
        }
        check(sent, interceptor)
    }

    /// The outcome: the response set by the stages, or the response to an unhandled error.
    package mutating func outcome() -> Chain.Outcome {
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
