// SPDX-License-Identifier: Apache-2.0

/// A named step of the chain, with up to three stages.
///
/// `enter` stages run in order until a response is set or the queue is empty; then the `leave` stages of the entered
/// interceptors run in reverse order. A thrown error goes to the `error` stages, from the throwing interceptor
/// backwards, until one handles it.
///
/// All stages of a request run sequentially in one task, which is cancelled when the client disconnects.
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

    /// The name in logs, traces and error messages.
    public let name: String
    /// Runs on the way in.
    public let enter: Stage?
    /// Runs on the way out.
    public let leave: Stage?
    /// Runs on the way out while an error is unhandled.
    public let error: ErrorStage?

    /// Creates an interceptor.
    ///
    /// - Parameters:
    ///   - name: The name in logs, traces and error messages.
    ///   - enter: Runs on the way in.
    ///   - leave: Runs on the way out.
    ///   - error: Runs on the way out while an error is unhandled.
    public init(_ name: String, enter: Stage? = nil, leave: Stage? = nil, error: ErrorStage? = nil) {
        self.name = name
        self.enter = enter
        self.leave = leave
        self.error = error
    }

    /// Creates a handler: the last interceptor, which answers the request.
    ///
    /// - Parameters:
    ///   - name: The name in logs, traces and error messages.
    ///   - handle: Returns the response.
    /// - Returns: The interceptor.
    public static func handler(
        _ name: String,
        _ handle: @escaping @Sendable (Request) async throws -> Response
    ) -> Interceptor {
        Interceptor(name, enter: { context in context.response = try await handle(context.request) })
    }
}
