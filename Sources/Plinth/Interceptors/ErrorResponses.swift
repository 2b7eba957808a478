// SPDX-License-Identifier: Apache-2.0

extension Interceptor {
    /// Turns errors into responses, as the chain itself does at its end.
    ///
    /// Its position matters: the `leave` stages of earlier interceptors also run for error responses, so that secure
    /// headers, CORS and cookies apply to them. A ``ResponseError`` becomes its response; any other error is logged
    /// with interceptor, stage and request ID, and becomes a 500 without details.
    public static func errorResponses() -> Interceptor {
        Interceptor(
            "error-responses",
            error: { context, error in
                // Too late to change the response: the chain logs the error.
                guard !context.isResponseSent else { throw error }
                context.response?.body.eventStream?.abandon(.applicationFailed)
                context.response = error.answer(to: context.request)
            }
        )
    }
}
