// SPDX-License-Identifier: Apache-2.0

/// The state that flows through the chain: the request, its response once set, and the queued interceptors.
public struct Context: Sendable {
    /// The request.
    ///
    /// Interceptors may change it for later stages.
    public var request: Request

    /// The response; nil until a stage sets it.
    ///
    /// Setting it ends the enter phase.
    ///
    /// Once ``isResponseSent`` is true, changes have no effect and are logged as an error with the interceptor's name.
    public var response: Response? {
        didSet { responseChanges &+= 1 }
    }

    /// Values attached by interceptors for later stages.
    public var values = TypedValues()

    /// Whether the head of the response has been sent.
    public var isResponseSent: Bool { sentResponse != nil || exchange == nil }

    /// All interceptors of the run, in entry order; the first ``entered`` have been entered.
    var queue: [Interceptor]
    /// The number of interceptors in ``queue`` that have been entered.
    ///
    /// They form a stack: the last one entered leaves first.
    var entered = 0
    /// Set by ``terminate()``.
    var isTerminated = false
    /// Counts assignments to ``response``, to detect changes after the head was sent.
    var responseChanges = 0
    /// The response whose head was sent; the body comes from it, too.
    private(set) var sentResponse: Response?
    /// The connection to the client; nil in a ready function's copy.
    private let exchange: (any Exchange)?

    package init(request: Request, interceptors: [Interceptor], exchange: any Exchange) {
        self.init(request: request, interceptors: interceptors, exchange: Optional(exchange))
    }

    /// A copy for a ready function, which may outlive the chain: without queue and exchange, so that a stream does not
    /// retain its connection.
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

    /// Appends interceptors to the queue.
    public mutating func enqueue(_ interceptors: [Interceptor]) {
        queue.append(contentsOf: interceptors)
    }

    /// Appends an interceptor to the queue.
    public mutating func enqueue(_ interceptor: Interceptor) {
        queue.append(interceptor)
    }

    /// Ends the enter phase after the current stage: queued interceptors are not entered.
    ///
    /// The `leave` stages run as usual.
    public mutating func terminate() {
        isTerminated = true
    }

    /// Sends the head of ``response`` to the client now, before the `leave` stages run.
    ///
    /// The body follows after the `leave` stages; an event stream starts immediately. Header fields that later stages
    /// add, such as secure headers, do not reach the client, so prefer to let the chain send the head.
    ///
    /// - Throws: ``SendHeadError`` if there is no response, or its head was already sent. `CancellationError` if the
    ///   client has disconnected.
    public mutating func sendHead() async throws {
        guard !isResponseSent else { throw SendHeadError.alreadySent }
        guard let response else { throw SendHeadError.noResponse }
        guard let exchange else { throw SendHeadError.alreadySent }
        try await exchange.sendHead(response, for: request)
        sentResponse = response
    }
}

/// An error thrown by ``Context/sendHead()``.
public enum SendHeadError: Error, CustomStringConvertible {
    /// The context has no response.
    case noResponse
    /// The head was already sent; a request has only one.
    case alreadySent

    /// What is wrong and how to fix it.
    public var description: String {
        switch self {
        case .noResponse: "the context has no response to send: set `response` first"
        case .alreadySent: "the head of the response has already been sent: call sendHead() once"
        }
    }
}
