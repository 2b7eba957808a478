// SPDX-License-Identifier: Apache-2.0

/// What flows through the chain: a request, in time its response, and the interceptors that are still to run.
public struct Context: Sendable {
    /// The request.
    ///
    /// Interceptors may change it for those after them.
    public var request: Request

    /// The response, nil until a stage sets it.
    ///
    /// Setting it ends the enter stage.
    ///
    /// Once ``isResponseSent`` is true a change changes nothing, and is logged as an error with the interceptor's name.
    public var response: Response? {
        didSet { responseChanges &+= 1 }
    }

    /// What interceptors attached for the stages after them.
    public var values = TypedValues()

    /// Whether the head of the response is already with the client.
    public var isResponseSent: Bool { sentResponse != nil || exchange == nil }

    /// The interceptors that are still to be entered, the next one first.
    var queue: [Interceptor]
    /// How many of ``queue`` have been entered.
    ///
    /// They are the stack: the last one leaves first.
    var entered = 0
    /// Set by ``terminate()``.
    var isTerminated = false
    /// Counts assignments to ``response``, which tells the chain of changes after it was sent.
    var responseChanges = 0
    /// The response whose head is with the client: the one that its body has to be of.
    private(set) var sentResponse: Response?
    /// The way back to the client.
    private let exchange: (any Exchange)?

    package init(request: Request, interceptors: [Interceptor], exchange: any Exchange) {
        self.init(request: request, interceptors: interceptors, exchange: Optional(exchange))
    }

    /// The context as a ready function gets it, which outlives the chain: without what only the chain needs, so that a
    /// stream does not hold on to the connection's side of its request.
    var forReadyFunction: Context {
        var copy = Context(request: request, interceptors: [], exchange: nil)
        copy.values = values
        return copy
    }

    private init(request: Request, interceptors: [Interceptor], exchange: (any Exchange)?) {
        self.request = request
        self.queue = interceptors
        self.exchange = exchange
    }

    /// Adds interceptors behind those that are already waiting.
    public mutating func enqueue(_ interceptors: [Interceptor]) {
        queue.append(contentsOf: interceptors)
    }

    /// Adds an interceptor behind those that are already waiting.
    public mutating func enqueue(_ interceptor: Interceptor) {
        queue.append(interceptor)
    }

    /// Ends the enter stage after the interceptor that is running: those that wait are not entered.
    ///
    /// The leave stages run as always.
    public mutating func terminate() {
        isTerminated = true
    }

    /// Writes the head of ``response`` to the client now, before the leave stages have run.
    ///
    /// The body follows after the leave stages; an event stream starts at once. What later interceptors add to the
    /// response, such as secure headers, does not reach the client any more: prefer to leave the head to the chain.
    ///
    /// - Throws: ``SendHeadError`` if there is no response, or if its head has been sent before. `CancellationError` if
    ///   the client has left.
    public mutating func sendHead() async throws {
        guard !isResponseSent else { throw SendHeadError.alreadySent }
        guard let response else { throw SendHeadError.noResponse }
        guard let exchange else { throw SendHeadError.alreadySent }
        try await exchange.sendHead(response, for: request)
        sentResponse = response
    }
}

/// Why ``Context/sendHead()`` did not send a head.
public enum SendHeadError: Error, CustomStringConvertible {
    /// The context has no response yet: set one first.
    case noResponse
    /// The head had been sent before; there is one a request.
    case alreadySent

    /// What was wrong and what to do.
    public var description: String {
        switch self {
        case .noResponse: "the context has no response to send: set `response` first"
        case .alreadySent: "the head of the response has already been sent: call sendHead() once"
        }
    }
}
