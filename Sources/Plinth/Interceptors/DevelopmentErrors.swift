// SPDX-License-Identifier: Apache-2.0

extension Interceptor {
    /// For development only: shows errors in responses and disables caching.
    ///
    /// An error without its own response becomes a 500 with the cause, its type, the interceptor, the stage, the
    /// request ID and the errors it replaced, as HTML if the client accepts it and as text otherwise. The details may
    /// contain secrets: use ``errorResponses()`` in production.
    ///
    /// Every response gets `Cache-Control: no-store`, except event streams, which set their own.
    public static func developmentErrors() -> Interceptor {
        Interceptor(
            "development-errors",
            leave: { context in
                guard !context.isResponseSent, let body = context.response?.body, body.eventStream == nil,
                    body.handedOff == nil
                else { return }
                context.response?.headers[.cacheControl] = "no-store"
            },
            error: { context, error in
                guard !context.isResponseSent else { throw error }
                context.response?.body.eventStream?.abandon(.applicationFailed)
                var response = error.answer(to: context.request)
                if !(error.cause is any ResponseError) {
                    response = page(error, isHTML: context.request.headers[.accept]?.contains("text/html") == true)
                }
                response.headers[.cacheControl] = "no-store"
                context.response = response
            }
        )
    }

    private static func page(_ error: ChainError, isHTML: Bool) -> Response {
        let rows =
            [
                ("Cause", "\(error.cause)"), ("Type", "\(type(of: error.cause))"), ("Interceptor", error.interceptor),
                ("Stage", error.stage.rawValue), ("Request", error.requestID),
            ] + error.suppressed.map { ("Replaced", "\($0)") }
        guard isHTML else {
            return .text(
                rows.map { "\($0): \($1)\n" }.joined(),
                status: .internalServerError
            )
        }
        let table = rows.map { "<tr><th>\($0)</th><td><pre>\(HTML.escape($1))</pre></td></tr>\n" }.joined()
        return .html(
            "<!doctype html>\n<title>500 Internal Server Error</title>\n<h1>An interceptor failed</h1>\n"
                + "<table>\n\(table)</table>\n",
            status: .internalServerError
        )
    }
}

/// HTML escaping for error pages.
enum HTML {
    /// Escapes text for use between tags and in quoted attributes.
    static func escape(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
