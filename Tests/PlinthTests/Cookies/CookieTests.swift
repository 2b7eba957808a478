// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthTesting
import Testing

@Suite("Cookies")
struct CookieTests {
    @Test("Cookies are parsed from all fields, and malformed ones skipped")
    func read() async throws {
        var request = Request.get("/")
        request.head.headerFields.append(HTTPField(name: .cookie, value: "a=1; b=\"x=y\" ;c; =d;e=;a=2"))
        request.head.headerFields.append(HTTPField(name: .cookie, value: "f=3"))
        let chain = Chain([
            .cookies(),
            .handler("h") { request in
                #expect(request.cookies.all("a") == ["1", "2"])
                #expect(request.cookies["b"] == "\"x=y\"")
                #expect(request.cookies["c"] == nil)
                #expect(request.cookies["e"] == "")
                #expect(request.cookies["f"] == "3")
                #expect(request.cookies.count == 5)
                return .text("ok")
            },
        ])
        #expect(try await chain.response(for: request).body == "ok")
    }

    @Test("A cookie is Secure, HttpOnly and SameSite=Lax by default")
    func attributes() throws {
        #expect(try Cookie("id", "7").description == "id=7; Path=/; Secure; HttpOnly; SameSite=Lax")
        let all = try Cookie(
            "id",
            "7",
            path: "/a",
            domain: "example.com",
            maxAge: .seconds(90.5),
            expires: HTTPDate(secondsSince1970: 784_111_777),
            isSecure: false,
            isHTTPOnly: false,
            sameSite: .strict
        )
        #expect(
            all.description
                == "id=7; Path=/a; Domain=example.com; Max-Age=90; Expires=Sun, 06 Nov 1994 08:49:37 GMT; SameSite=Strict"
        )
        #expect(
            try Cookie.deletion(of: "id").description
                == "id=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure; HttpOnly; SameSite=Lax"
        )
    }

    @Test(
        "An invalid cookie throws",
        arguments: [
            ("", "x", "/", nil), ("a b", "x", "/", nil), ("a=b", "x", "/", nil), ("a;b", "x", "/", nil),
            ("é", "x", "/", nil), ("a\r\n", "x", "/", nil), ("a", "x;y", "/", nil),
            ("a", "x\r\nSet-Cookie: b=1", "/", nil),
            ("a", "x y", "/", nil), ("a", "x,y", "/", nil), ("a", "\"x\"", "/", nil), ("a", "é", "/", nil),
            ("a", "x", "/;Domain=evil", nil), ("a", "x", "/\n", nil), ("a", "x", "/", "a;b"), ("a", "x", "/", "a\u{0}"),
            ("__Host-a", "x", "/p", nil), ("__Host-a", "x", "/", "example.com"),
        ] as [(String, String, String, String?)]
    )
    func invalid(name: String, value: String, path: String, domain: String?) {
        #expect(throws: CookieError.self) { try Cookie(name, value, path: path, domain: domain) }
    }

    @Test("Cookies that browsers reject without Secure throw without it")
    func insecure() {
        #expect(throws: CookieError.self) { try Cookie("a", "x", isSecure: false, sameSite: .none) }
        #expect(throws: CookieError.self) { try Cookie("__secure-a", "x", isSecure: false) }
        #expect(throws: CookieError.self) { try Cookie("__Host-a", "x", isSecure: false) }
    }

    @Test("Each cookie has its own field, also on error responses")
    func set() async throws {
        let chain = Chain([
            .cookies(), .errorResponses(),
            Interceptor("session", enter: { $0.setCookie(try Cookie("s", "1")) }),
            .handler("h") { request in
                if request.path == "/error" { throw HTTPError(.forbidden) }
                var response = Response.text("ok")
                response.setCookie(try Cookie("a", "1"))
                response.setCookie(try Cookie("b", "2"))
                return response
            },
        ])
        func names(_ path: String) async throws -> [String] {
            try await chain.response(for: .get(path)).headers[values: .setCookie].map { String($0.prefix(3)) }
        }
        #expect(try await names("/") == ["a=1", "b=2", "s=1"])
        #expect(try await names("/error") == ["s=1"])
    }
}

@Suite("HTTP dates")
struct HTTPDateTests {
    @Test(
        "A date round-trips",
        arguments: [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"), (-1, "Wed, 31 Dec 1969 23:59:59 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"), (-62_135_596_800, "Mon, 01 Jan 0001 00:00:00 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ]
    )
    func roundTrip(seconds: Int, text: String) {
        #expect(HTTPDate(secondsSince1970: seconds).description == text)
        #expect(HTTPDate(text)?.secondsSince1970 == seconds)
    }

    @Test(
        "An invalid date is nil",
        arguments: [
            "", "now", "Mon, 06 Nov 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 0000 08:49:37 GMT", "Sun, +6 Nov 1994 08:49:37 GMT",
        ]
    )
    func invalid(text: String) {
        #expect(HTTPDate(text) == nil)
    }

    @Test("Dates outside of the representable years are clamped")
    func extremes() {
        #expect(HTTPDate(secondsSince1970: .max).description.contains("9999"))
        #expect(HTTPDate(secondsSince1970: .min).description.contains("0001"))
    }
}
