// SPDX-License-Identifier: Apache-2.0

extension Interceptor {
    /// Sets `Content-Type: text/html; charset=utf-8` on a string body without a content type.
    ///
    /// Applies only to ``ResponseBody/string(_:)``, not to bytes, files or other bodies.
    public static func htmlBody() -> Interceptor {
        Interceptor(
            "html-body",
            leave: { context in
                guard !context.isResponseSent, let response = context.response, response.body.isString,
                    !response.body.isEmpty, response.headers[.contentType] == nil
                else { return }
                context.response?.headers[.contentType] = "text/html; charset=utf-8"
            }
        )
    }
}
