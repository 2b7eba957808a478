// SPDX-License-Identifier: Apache-2.0

extension Interceptor {
    /// Decodes the query once, for ``Request/queryParameters``, and refuses one that is malformed.
    ///
    /// - Parameter limit: The most parameters to accept; 1,000 unless given. More are answered 400, as is a parameter
    ///   whose encoding is malformed or not UTF-8, with its position in the message.
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
    /// Without ``Interceptor/queryParameters(limit:)`` in the chain they are decoded anew each time, at most 1,000 of
    /// them, and those that are malformed are left out.
    public var queryParameters: FormParameters {
        if let decoded = values[QueryParametersKey.self] { return decoded }
        guard let query else { return FormParameters() }
        return FormParameters(lenientlyDecoding: query.utf8, limit: 1_000)
    }
}
