// SPDX-License-Identifier: Apache-2.0

extension Interceptor {
    /// Answers 404, in plain text, where no other interceptor set a response.
    public static func notFound() -> Interceptor {
        notFound { _ in HTTPError(.notFound, "nothing here answers this request").response }
    }

    /// Answers where no other interceptor set a response.
    ///
    /// - Parameter respond: Makes the response, with status 404 as a rule.
    /// - Returns: The interceptor.
    public static func notFound(_ respond: @escaping @Sendable (Request) async throws -> Response) -> Interceptor {
        Interceptor(
            "not-found",
            leave: { context in
                if context.response == nil { context.response = try await respond(context.request) }
            }
        )
    }
}
