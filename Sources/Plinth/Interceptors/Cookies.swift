// SPDX-License-Identifier: Apache-2.0

extension Interceptor {
    /// Parses cookies once per request, and adds those set with ``Context/setCookie(_:)`` to any response.
    public static func cookies() -> Interceptor {
        Interceptor(
            "cookies",
            enter: { context in
                guard context.request.headers.contains(.cookie) else { return }
                context.request.values[RequestCookiesKey.self] = RequestCookies(context.request.headers)
            },
            leave: { context in
                guard let cookies = context.values[CookiesToSet.self], !context.isResponseSent else { return }
                for cookie in cookies { context.response?.setCookie(cookie) }
            }
        )
    }
}

private enum RequestCookiesKey: ValueKey {
    typealias Value = RequestCookies
}

private enum CookiesToSet: ValueKey {
    typealias Value = [Cookie]
}

extension Request {
    /// The cookies of the request.
    ///
    /// Without ``Interceptor/cookies()`` in the chain, each access parses them again.
    public var cookies: RequestCookies {
        values[RequestCookiesKey.self] ?? RequestCookies(headers)
    }
}

extension Response {
    /// Sets a cookie, in a separate `Set-Cookie` field (RFC 6265bis, section 3).
    public mutating func setCookie(_ cookie: Cookie) {
        headers.append(HTTPField(name: .setCookie, value: cookie.description))
    }
}

extension Context {
    /// Sets a cookie on the final response, including an error response.
    ///
    /// Requires ``Interceptor/cookies()`` earlier in the chain; without it the cookie is not set.
    public mutating func setCookie(_ cookie: Cookie) {
        values[CookiesToSet.self] = (values[CookiesToSet.self] ?? []) + [cookie]
    }
}
