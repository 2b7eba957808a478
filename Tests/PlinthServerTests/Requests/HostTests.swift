// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport
import Plinth
import PlinthServer
import Testing

/// The host of a request (RFC 9112, section 3.2; RFC 9110, section 7.2).
@Suite("Hosts")
struct HostTests {
    @Test(
        "A host is a name or an address, with an optional port",
        arguments: [
            "a", "example.org", "example.org.", "example.org:8080", "example.org:", "127.0.0.1:1", "[::1]", "[::1]:80",
            "[::1]:",
            "[::ffff:1.2.3.4]", "[v7.a:b]", "a_b-c~d", "xn--bcher-kva.example", "b%C3%BCcher", "a,b", "a:65535", "",
            ":80",
        ]
    )
    func valid(host: String) async throws {
        #expect(try await Self.answer("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n") == "200 \(host)")
    }

    @Test(
        "An invalid host is refused",
        arguments: [
            "a b", "a b/c@d", "a/b", "user@a", "a@b:1", "a:b", "a:1:2", "a:-1", "a:+1", "a:65536", "a: 1", "::1",
            "[::1", "::1]",
            "[]", "[::1]80", "[::1]a:80", "[::1%eth0]", "[1.2.3.4]", "[::g]", "[v.a]", "[v7.]b", "a?b", "a#b", "a\\b",
            "a\"b",
            "<a>", "a|b", "a%", "a%4", "a%zz", "b\u{FC}cher", "a\tb", "a, b", "http://a", "{a}", "a^b", "a`b",
        ]
    )
    func invalid(host: String) async throws {
        for version in ["1.1", "1.0"] {
            #expect(try await Self.answer("GET / HTTP/\(version)\r\nHost: \(host)\r\n\r\n").hasPrefix("400 "))
        }
        // In a target, these characters end the host or the target.
        guard host.utf8.allSatisfy({ !"/? \t".utf8.contains($0) }) else { return }
        #expect(try await Self.answer("GET http://\(host)/ HTTP/1.1\r\nHost: a\r\n\r\n").hasPrefix("400 "))
    }

    @Test(
        "An absolute target's host is the request's, whatever the field contains",
        arguments: [
            ("http://a", "200 a"), ("http://a/", "200 a"), ("http://a:8080?b", "200 a:8080"),
            ("HTTPS://a/b?c", "200 a"),
            ("http://[::1]:1/", "200 [::1]:1"), ("http://", "400 "), ("http:///b", "400 "), ("http://:80/", "400 "),
            ("http://user@a/", "400 "), ("http://a@b/", "400 "), ("http://?b", "400 "), ("ftp://a/", "400 "),
            ("/b", "200 field"),
        ]
    )
    func absoluteForm(target: String, answer: String) async throws {
        let got = try await Self.answer("GET \(target) HTTP/1.1\r\nHost: field\r\n\r\n")
        #expect(got == answer || (answer == "400 " && got.hasPrefix(answer)))
    }

    @Test("An absolute target still needs a `Host` field; HTTP/1.0 needs no host")
    func missing() async throws {
        #expect(try await Self.answer("GET http://a/ HTTP/1.1\r\n\r\n").hasPrefix("400 "))
        #expect(try await Self.answer("GET / HTTP/1.0\r\n\r\n") == "200 none")
    }

    /// Status and body.
    private static func answer(_ request: String) async throws -> String {
        let interceptor = Interceptor.handler("host") { .text($0.head.authority ?? "none") }
        return try await withServer([interceptor]) { server in
            let client = try await server.client()
            try await client.send(request)
            let response = try await client.response()
            client.close()
            return "\(response.status) \(response.body)"
        }
    }
}

#endif
