// SPDX-License-Identifier: Apache-2.0

/// A named step of the chain, with up to three stages.
///
/// `enter` stages run in order until a response is set or the queue is empty; then the `leave` stages of the entered
/// interceptors run in reverse order. A thrown error goes to the `error` stages, from the throwing interceptor
/// backwards, until one handles it.
///
/// All stages of a request run sequentially. Those that wait run in one task, which is cancelled when the client
/// disconnects. Where requests run on event loops (`ConnectorConfiguration.runsRequestsOnEventLoops`), stages that do not
/// wait run on the connection's event loop, and before the first that waits outside of any task: a request answered by
/// such stages alone needs none.
///
/// ```swift
/// let timing = Interceptor("timing",
///     enter: { $0.values[Start.self] = .now },
///     leave: { context in … })
/// ```
public struct Interceptor: Sendable {
    /// A stage that runs on the way in or out.
    public typealias Stage = @Sendable (inout Context) async throws -> Void
    /// A stage that runs instead of `leave` while an error is unhandled.
    ///
    /// Returning handles the error: the `leave` stages continue from there. Rethrowing the error passes it on; throwing
    /// another replaces it.
    public typealias ErrorStage = @Sendable (inout Context, ChainError) async throws -> Void
    /// A ``Stage`` that does not wait.
    public typealias ImmediateStage = @Sendable (inout Context) throws -> Void
    /// An ``ErrorStage`` that does not wait.
    public typealias ImmediateErrorStage = @Sendable (inout Context, ChainError) throws -> Void

    /// A stage that does not wait; it returns what has to, if anything.
    typealias DecidingStage = @Sendable (inout Context) throws -> Stage?

    /// A stage, by how it runs.
    enum Form<Immediate: Sendable, Waiting: Sendable>: Sendable {
        case immediate(Immediate)
        case waiting(Waiting)
    }

    /// The stages, shared by all copies: a chain copies its interceptors for each request.
    private final class Stages: Sendable {
        let name: String
        let enter: Form<DecidingStage, Stage>?
        let leave: Form<DecidingStage, Stage>?
        let error: Form<ImmediateErrorStage, ErrorStage>?

        init(
            _ name: String,
            _ enter: Form<DecidingStage, Stage>?,
            _ leave: Form<DecidingStage, Stage>?,
            _ error: Form<ImmediateErrorStage, ErrorStage>?
        ) {
            self.name = name
            self.enter = enter
            self.leave = leave
            self.error = error
        }
    }

    private let stages: Stages

    /// The name in logs, traces and error messages.
    public var name: String { stages.name }
    /// What runs on the way in.
    var enter: Form<DecidingStage, Stage>? { stages.enter }
    /// What runs on the way out.
    var leave: Form<DecidingStage, Stage>? { stages.leave }
    /// What runs on the way out while an error is unhandled.
    var error: Form<ImmediateErrorStage, ErrorStage>? { stages.error }

    /// Creates an interceptor with a stage that waits; all its stages count as waiting.
    ///
    /// - Parameters:
    ///   - name: The name in logs, traces and error messages.
    ///   - enter: Runs on the way in. Default: none.
    ///   - leave: Runs on the way out. Default: none.
    ///   - error: Runs on the way out while an error is unhandled. Default: none.
    @_disfavoredOverload
    public init(_ name: String, enter: Stage? = nil, leave: Stage? = nil, error: ErrorStage? = nil) {
        stages = Stages(name, enter.map { .waiting($0) }, leave.map { .waiting($0) }, error.map { .waiting($0) })
    }

    /// Creates an interceptor whose stages do not wait; the compiler chooses it for closures without `await`.
    ///
    /// - Parameters:
    ///   - name: The name in logs, traces and error messages.
    ///   - enter: Runs on the way in. Default: none.
    ///   - leave: Runs on the way out. Default: none.
    ///   - error: Runs on the way out while an error is unhandled. Default: none.
    public init(
        _ name: String,
        enter: ImmediateStage? = nil,
        leave: ImmediateStage? = nil,
        error: ImmediateErrorStage? = nil
    ) {
        stages = Stages(
            name,
            enter.map { .immediate(Self.deciding($0)) },
            leave.map { .immediate(Self.deciding($0)) },
            error.map { .immediate($0) }
        )
    }

    private static func deciding(_ stage: @escaping ImmediateStage) -> DecidingStage {
        { context in
            try stage(&context)
            return nil
        }
    }

    /// Creates an interceptor whose stages decide for each request whether they have to wait.
    init(deciding name: String, enter: DecidingStage? = nil, leave: DecidingStage? = nil) {
        stages = Stages(name, enter.map { .immediate($0) }, leave.map { .immediate($0) }, nil)
    }

    /// Creates a handler: the last interceptor, which answers the request.
    ///
    /// - Parameters:
    ///   - name: The name in logs, traces and error messages.
    ///   - handle: Returns the response.
    /// - Returns: The interceptor.
    @_disfavoredOverload
    public static func handler(_ name: String, _ handle: @escaping Route.Handler) -> Interceptor {
        Interceptor(name, enter: { context in context.response = try await handle(context.request) })
    }

    /// Creates a handler that does not wait; the compiler chooses it for closures without `await`.
    ///
    /// - Parameters:
    ///   - name: The name in logs, traces and error messages.
    ///   - handle: Returns the response.
    /// - Returns: The interceptor.
    public static func handler(_ name: String, _ handle: @escaping Route.ImmediateHandler) -> Interceptor {
        Interceptor(name, enter: { context in context.response = try handle(context.request) })
    }

    /// Creates a handler that decides for each request whether it has to wait.
    ///
    /// ```swift
    /// let profile = Interceptor.answering("profile") { request in
    ///     let id = try request.pathParameters.require("id")
    ///     if let known = cache[id] { return .now(.text(known)) }
    ///     return .later { .text(try await database.profile(id)) }
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - name: The name in logs, traces and error messages.
    ///   - answer: Returns the response, or what waits for it.
    /// - Returns: The interceptor.
    public static func answering(
        _ name: String,
        _ answer: @escaping @Sendable (Request) throws -> Answer
    ) -> Interceptor {
        Interceptor(
            deciding: name,
            enter: { context in
                switch try answer(context.request) {
                case .now(let response):
                    context.response = response
                    return nil
                case .later(let response):
                    return { context in context.response = try await response() }
                }
            }
        )
    }
}

/// A handler's answer to a request.
public enum Answer: Sendable {
    /// The response.
    case now(Response)
    /// What waits for the response, in the request's task.
    case later(@Sendable () async throws -> Response)

    /// The response, awaited if it has to be.
    package var response: Response {
        get async throws {
            switch self {
            case .now(let response): response
            case .later(let response): try await response()
            }
        }
    }
}
