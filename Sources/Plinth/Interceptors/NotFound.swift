// SPDX-License-Identifier: Apache-2.0

extension Interceptor {
    /// Answers with a plain-text 404 if no other interceptor set a response.
    public static func notFound() -> Interceptor {
        notFound { _ in HTTPError(.notFound, "no resource matches this request").response }
    }

    /// Answers if no other interceptor set a response.
    ///
    /// - Parameter respond: Returns the response, usually with status 404.
    /// - Returns: The interceptor.
    @_disfavoredOverload
    public static func notFound(_ respond: @escaping Route.Handler) -> Interceptor {
        Interceptor(
            deciding: "not-found",
            leave: { context in
                guard context.response == nil else { return nil }
                return { $0.response = try await respond($0.request) }
            }
        )
    }

    /// Answers if no other interceptor set a response, without waiting; the compiler chooses it for closures without
    /// `await`.
    ///
    /// - Parameter respond: Returns the response, usually with status 404.
    /// - Returns: The interceptor.
    public static func notFound(_ respond: @escaping Route.ImmediateHandler) -> Interceptor {
        Interceptor(
            "not-found",
            leave: { context in
                if context.response == nil { context.response = try respond(context.request) }
            }
        )
    }
}
