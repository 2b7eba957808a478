// SPDX-License-Identifier: Apache-2.0

extension Interceptor {
    /// Adds a `Content-Type` to a response that has a body and none, by the extension of the request's path.
    ///
    /// - Parameter fallback: For paths without an extension, or with one that is not known; none unless given.
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
