// SPDX-License-Identifier: Apache-2.0

/// One named step in the chain, with up to three stages.
///
/// `enter` stages run in order until a response is set or the queue is empty; then the `leave` stages of the
/// interceptors that were entered run in reverse. An error that a stage throws goes to the `error` stages, from the
/// interceptor that threw backwards, until one handles it.
///
/// All stages of a request run one after the other in one task, which is cancelled when the client leaves.
///
/// ```swift
/// let timing = Interceptor("timing",
///     enter: { $0.values[Start.self] = .now },
///     leave: { context in … })
/// ```
public struct Interceptor: Sendable {
    /// A stage that runs on the way in or out.
    public typealias Stage = @Sendable (inout Context) async throws -> Void
    /// A stage that runs instead of `leave` while an error is under way.
    ///
    /// To return is to have handled it: the `leave` stages go on from there. To throw the same error is to pass it on,
    /// and another one to replace it.
    public typealias ErrorStage = @Sendable (inout Context, ChainError) async throws -> Void

    /// What logs, traces and error messages call it.
    public let name: String
    /// Runs on the way in.
    public let enter: Stage?
    /// Runs on the way out.
    public let leave: Stage?
    /// Runs on the way out while an error is under way.
    public let error: ErrorStage?

    /// An interceptor of the given stages.
    ///
    /// - Parameters:
    ///   - name: What logs, traces and error messages call it.
    ///   - enter: Runs on the way in.
    ///   - leave: Runs on the way out.
    ///   - error: Runs on the way out while an error is under way.
    public init(_ name: String, enter: Stage? = nil, leave: Stage? = nil, error: ErrorStage? = nil) {
        self.name = name
        self.enter = enter
        self.leave = leave
        self.error = error
    }

    /// A handler: the last interceptor, which answers the request.
    ///
    /// - Parameters:
    ///   - name: What logs, traces and error messages call it.
    ///   - handle: Makes the response.
    /// - Returns: The interceptor.
    public static func handler(
        _ name: String,
        _ handle: @escaping @Sendable (Request) async throws -> Response
    ) -> Interceptor {
        Interceptor(name, enter: { context in context.response = try await handle(context.request) })
    }
}
