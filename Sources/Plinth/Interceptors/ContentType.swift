// SPDX-License-Identifier: Apache-2.0

extension Interceptor {
    /// Adds a `Content-Type`, based on the extension of the request's path, to a response with a body and no content
    /// type.
    ///
    /// - Parameter fallback: The content type for a missing or unknown extension. Default: nil, none.
    /// - Returns: The interceptor.
    public static func contentType(default fallback: String? = nil) -> Interceptor {
        Interceptor(
            "content-type",
            leave: { context in
                guard !context.isResponseSent, let response = context.response, !response.body.isEmpty,
                    response.headers[.contentType] == nil,
                    let type = ContentTypes.forPath(context.request.path) ?? fallback
                else { return }
                context.response?.headers[.contentType] = type
            }
        )
    }
}
