// SPDX-License-Identifier: Apache-2.0

extension Interceptor {
    /// Turns errors into responses, as the chain itself would do at its very end.
    ///
    /// It is for its place: the `leave` stages of the interceptors before it run for error responses too, so that
    /// secure headers, CORS and cookies reach them. A ``ResponseError`` becomes its response; any other error is logged
    /// with the interceptor's name, its stage and the request's ID, and becomes a 500 without details.
    public static func errorResponses() -> Interceptor {
        Interceptor(
            "error-responses",
            error: { context, error in
                // Too late to answer otherwise: the chain logs it.
                guard !context.isResponseSent else { throw error }
                context.response?.body.eventStream?.abandon(.applicationFailed)
                context.response = error.answer(to: context.request)
            }
        )
    }
}
