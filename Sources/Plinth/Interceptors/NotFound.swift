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
    public static func notFound(_ respond: @escaping @Sendable (Request) async throws -> Response) -> Interceptor {
        Interceptor(
            "not-found",
            leave: { context in
                if context.response == nil { context.response = try await respond(context.request) }
            }
        )
    }
}
