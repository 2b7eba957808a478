// SPDX-License-Identifier: Apache-2.0

extension Interceptor {
    /// Collects form and JSON bodies before the handler runs.
    ///
    /// A form (`application/x-www-form-urlencoded`) is decoded into ``Request/formParameters``; JSON is left to
    /// ``Request/decode(_:upTo:)``. In both cases ``Request/body`` can be read again any number of times. Bodies with
    /// another or no content type are not read.
    ///
    /// - Parameters:
    ///   - limit: The maximum size of the body, in bytes. Default: 1 MiB. A larger body is answered with 413 as soon as
    ///     it exceeds the limit; immediately if `Content-Length` does.
    ///   - count: The maximum number of form parameters. Default: 1,000. More are answered with 400, as is a parameter
    ///     with malformed encoding; the message names its position.
    /// - Returns: The interceptor `body-parameters`.
    public static func bodyParameters(limit: Int = 1_048_576, count: Int = 1_000) -> Interceptor {
        Interceptor(
            deciding: "body-parameters",
            enter: { context in
                guard let type = MediaType(context.request.headers[.contentType]) else { return nil }
                guard type.isForm || type.isJSON else { return nil }
                let take = { @Sendable (bytes: [UInt8], context: inout Context) throws in
                    context.request.body = RequestBody(bytes: bytes)
                    guard type.isForm else { return }
                    context.request.values[FormParametersKey.self] = try FormParameters(
                        decoding: bytes,
                        limit: count,
                        place: "the form"
                    )
                }
                try context.request.checkLength(upTo: limit)
                if let bytes = try context.request.body.collectNow(upTo: limit) {
                    try take(bytes, &context)
                    return nil
                }
                return { try take(try await $0.request.body.collect(upTo: limit), &$0) }
            }
        )
    }
}

private enum FormParametersKey: ValueKey {
    typealias Value = FormParameters
}

extension Request {
    /// The form parameters decoded by ``Interceptor/bodyParameters(limit:count:)``; empty without it.
    public var formParameters: FormParameters {
        values[FormParametersKey.self] ?? FormParameters()
    }

    /// Collects the body, rejecting it before reading if `Content-Length` exceeds the limit.
    package func collectBody(upTo limit: Int) async throws -> [UInt8] {
        try checkLength(upTo: limit)
        return try await body.collect(upTo: limit)
    }

    fileprivate func checkLength(upTo limit: Int) throws {
        if let length = headers[.contentLength].flatMap({ Int($0) }), length > limit {
            throw HTTPError.contentTooLarge(limit: limit)
        }
    }
}
