// SPDX-License-Identifier: Apache-2.0

extension Interceptor {
    /// Reads cookies once a request, and adds those of ``Context/setCookie(_:)`` to the response, whatever it is.
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
    /// The cookies that the client sent.
    ///
    /// Without ``Interceptor/cookies()`` in the chain they are read anew each time.
    public var cookies: RequestCookies {
        values[RequestCookiesKey.self] ?? RequestCookies(headers)
    }
}

extension Response {
    /// Sets a cookie, in a field of its own (RFC 6265bis, section 3).
    public mutating func setCookie(_ cookie: Cookie) {
        headers.append(HTTPField(name: .setCookie, value: cookie.description))
    }
}

extension Context {
    /// Sets a cookie on the response that the stages will leave, be it an error.
    ///
    /// It takes ``Interceptor/cookies()`` earlier in the chain; without it the cookie is not set.
    public mutating func setCookie(_ cookie: Cookie) {
        values[CookiesToSet.self] = (values[CookiesToSet.self] ?? []) + [cookie]
    }
}
