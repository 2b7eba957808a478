// SPDX-License-Identifier: Apache-2.0

extension Interceptor {
    /// Takes a body that is a string and has no `Content-Type` for a page: `text/html; charset=utf-8`.
    ///
    /// Only ``ResponseBody/string(_:)`` counts: bytes, files and the rest are left alone.
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
