// SPDX-License-Identifier: Apache-2.0

extension Interceptor {
    /// Reads the body of forms and of JSON before the handler runs.
    ///
    /// A form (`application/x-www-form-urlencoded`) is decoded into ``Request/formParameters``; JSON is left to
    /// ``Request/decode(_:upTo:)``. Either way ``Request/body`` can be read again afterwards, any number of times.
    /// Bodies of other content types, or of none, are left alone.
    ///
    /// - Parameters:
    ///   - limit: The most bytes to accept; 1 MiB unless given. A longer body is answered 413 as soon as that is clear:
    ///     at once if `Content-Length` says so.
    ///   - count: The most parameters of a form to accept; 1,000 unless given. More are answered 400, as is a parameter
    ///     whose encoding is malformed, with its position.
    /// - Returns: The interceptor `body-parameters`.
    public static func bodyParameters(limit: Int = 1_048_576, count: Int = 1_000) -> Interceptor {
        Interceptor(
            "body-parameters",
            enter: { context in
                guard let type = MediaType(context.request.headers[.contentType]) else { return }
                guard type.isForm || type.isJSON else { return }
                let bytes = try await context.request.collectBody(upTo: limit)
                context.request.body = RequestBody(bytes: bytes)
                guard type.isForm else { return }
                context.request.values[FormParametersKey.self] = try FormParameters(
                    decoding: bytes,
                    limit: count,
                    place: "the form"
                )
            }
        )
    }
}

private enum FormParametersKey: ValueKey {
    typealias Value = FormParameters
}

extension Request {
    /// The parameters of a form in the body, decoded by ``Interceptor/bodyParameters(limit:count:)``; none without it.
    public var formParameters: FormParameters {
        values[FormParametersKey.self] ?? FormParameters()
    }

    /// The body in one array, refused by its `Content-Length` already if that is too long.
    package func collectBody(upTo limit: Int) async throws -> [UInt8] {
        if let length = headers[.contentLength].flatMap({ Int($0) }), length > limit {
            throw HTTPError.contentTooLarge(limit: limit)
        }
        return try await body.collect(upTo: limit)
    }
}
