// SPDX-License-Identifier: Apache-2.0

extension Interceptor {
    /// Decodes the query once, for ``Request/queryParameters``, and rejects a malformed one.
    ///
    /// - Parameter limit: The maximum number of parameters. Default: 1,000. More are answered with 400, as is a
    ///   parameter with malformed encoding or invalid UTF-8; the message names its position.
    /// - Returns: The interceptor.
    public static func queryParameters(limit: Int = 1_000) -> Interceptor {
        Interceptor(
            "query-parameters",
            enter: { context in
                guard let query = context.request.query else { return }
                context.request.values[QueryParametersKey.self] = try FormParameters(
                    decoding: query.utf8,
                    limit: limit,
                    place: "the query"
                )
            }
        )
    }
}

private enum QueryParametersKey: ValueKey {
    typealias Value = FormParameters
}

extension Request {
    /// The parameters of the query.
    ///
    /// Without ``Interceptor/queryParameters(limit:)`` in the chain, each access decodes up to 1,000 parameters and
    /// skips malformed ones.
    public var queryParameters: FormParameters {
        if let decoded = values[QueryParametersKey.self] { return decoded }
        guard let query else { return FormParameters() }
        return FormParameters(lenientlyDecoding: query.utf8, limit: 1_000)
    }
}
