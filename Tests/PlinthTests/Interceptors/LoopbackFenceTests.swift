// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthTesting
import Testing

@Suite("Loopback fence")
struct LoopbackFenceTests {
    private func answer(
        _ method: HTTPRequest.Method,
        host: String?,
        origin: String? = nil,
        site: String? = nil,
        isSecure: Bool = false,
        isOnLoopback: Bool = true,
        _ fence: LoopbackFence = LoopbackFence()
    ) async throws -> Int {
        var head = HTTPRequest(method: method, scheme: nil, authority: host, path: "/")
        head.headerFields[.origin] = origin
        if let name = HTTPField.Name("Sec-Fetch-Site") { head.headerFields[name] = site }
        let request = Request(head: head, isSecure: isSecure, isOnLoopback: isOnLoopback)
        let chain = Chain([.errorResponses(), .loopbackFence(fence), .handler("ok") { _ in .text("ok") }])
        return try await chain.response(for: request).status.code
    }

    @Test(
        "A host that names this machine is allowed with any port",
        arguments: [
            "localhost", "localhost:8080", "LocalHost:1", "localhost.", "localhost.:80", "hub.localhost",
            "a.b.localhost:9",
            "127.0.0.1", "127.0.0.1:8080", "127.255.3.0", "[::1]", "[::1]:8080", "[0:0:0:0:0:0:0:1]", "[0::1]",
            "[::0001]:1", "[0:0::0:1]", "localhost:",
        ]
    )
    func local(host: String) async throws {
        for method in [.get, .head, .post, .delete, .put] as [HTTPRequest.Method] {
            #expect(try await answer(method, host: host) == 200, "\(method)")
        }
    }

    @Test(
        "Any other host is answered with 421 for every method",
        arguments: [
            "evil.example", "evil.example:8080", "localhost.evil.example", "evillocalhost", "localhost@evil.example",
            ".localhost.",
            "127.0.0.1.evil.example", "127.0.0.256", "127.1", "0x7f.0.0.1", "2130706433", "128.0.0.1", "1127.0.0.1",
            "0.0.0.0",
            "127.0.0.1e", "127.0.0.", "127.0.0.1:8080:1", "127.0.0.1:80a", "[::2]", "[::11]", "[::1", "::1", "[1::1]",
            "[::]",
            "[:::1]", "[0:0:0:0:0:0:0:0:1]", "[::1]x", "[::ffff:127.0.0.1]", "", ":80", "localho\u{17F}t",
            "loca\u{0}lhost", "a b",
            "localhost, localhost", "[0:1]", "[:0:1]", "192.168.0.1",
        ]
    )
    func foreign(host: String) async throws {
        for method in [.get, .options, .post] as [HTTPRequest.Method] {
            #expect(try await answer(method, host: host) == 421, "\(method)")
        }
    }

    @Test("A refusal has a code, and names the option to set")
    func words() async throws {
        let chain = Chain([
            Interceptor(
                "codes",
                error: { context, error in
                    let error = try #require(error.cause as? HTTPError)
                    context.response = .text("\(error.code ?? "") \(error.message)", status: error.status)
                }
            ), .loopbackFence(), .handler("ok") { _ in .text("ok") },
        ])
        func words(_ host: String, _ origin: String?) async throws -> String {
            var head = HTTPRequest(method: .post, scheme: nil, authority: host, path: "/")
            head.headerFields[.origin] = origin
            return try await chain.response(for: Request(head: head, isOnLoopback: true)).body
        }
        let host = try await words("evil.example", nil)
        #expect(host.hasPrefix("host-foreign "))
        #expect(host.contains("--allow-host") && host.contains("--public-origin"))
        let origin = try await words("localhost", "http://evil.example")
        #expect(origin.hasPrefix("origin-foreign "))
        #expect(origin.contains("--public-origin"))
    }

    @Test("Requests without a host or on a non-loopback address are allowed")
    func unfenced() async throws {
        #expect(try await answer(.post, host: nil, origin: "http://evil.example", site: "cross-site") == 200)
        #expect(try await answer(.post, host: "evil.example", origin: "http://x.example", isOnLoopback: false) == 200)
    }

    @Test(
        "An unsafe method requires the host's own origin",
        arguments: [
            (nil, nil, 200), (nil, "same-origin", 200), (nil, "same-site", 200), (nil, "none", 200),
            (nil, "cross-site", 403),
            (nil, "Cross-Site", 403), ("http://localhost:8080", nil, 200), ("http://localhost:8080", "cross-site", 200),
            ("HTTP://LOCALHOST:8080", nil, 200), ("https://localhost:8080", nil, 200), ("http://localhost", nil, 403),
            ("http://localhost:8081", nil, 403), ("http://127.0.0.1:8080", nil, 403), ("null", nil, 403),
            ("", nil, 403),
            ("http://evil.example", "same-origin", 403), ("localhost:8080", nil, 403),
            ("ftp://localhost:8080", nil, 403),
            ("http://localhost:8080/", nil, 403), ("http://localhost:8080, http://localhost:8080", nil, 403),
        ] as [(String?, String?, Int)]
    )
    func origins(origin: String?, site: String?, status: Int) async throws {
        for method in [.post, .put, .patch, .delete] as [HTTPRequest.Method] {
            #expect(try await answer(method, host: "localhost:8080", origin: origin, site: site) == status, "\(method)")
        }
        for method in [.get, .head, .options] as [HTTPRequest.Method] {
            #expect(try await answer(method, host: "localhost:8080", origin: origin, site: site) == 200, "\(method)")
        }
    }

    @Test("Over TLS, an http page is another origin")
    func secure() async throws {
        #expect(try await answer(.post, host: "localhost", origin: "http://localhost", isSecure: true) == 403)
        #expect(try await answer(.post, host: "localhost", origin: "https://localhost", isSecure: true) == 200)
    }

    @Test("Configured hosts are allowed with any port, and their pages share the origin")
    func hosts() async throws {
        let fence = try LoopbackFence(hosts: ["Hub.Internal:9", "10.0.0.7", "fd00::7"])
        for host in ["hub.internal", "hub.internal:8080", "HUB.internal.", "10.0.0.7:1", "[fd00::7]:80", "localhost"] {
            #expect(try await answer(.get, host: host, fence) == 200, "\(host)")
            #expect(try await answer(.post, host: host, origin: "http://\(host)", fence) == 200, "\(host)")
            #expect(try await answer(.post, host: host, origin: "http://evil.example", fence) == 403, "\(host)")
        }
        for host in ["internal", "x.hub.internal", "10.0.0.8"] {
            #expect(try await answer(.get, host: host, fence) == 421, "\(host)")
        }
    }

    @Test("With public origins, only their pages may use unsafe methods, and their hosts are allowed")
    func publicOrigins() async throws {
        let fence = try LoopbackFence(publicOrigins: [
            "https://Hub.Example", "http://other.example:8080", "https://a.example:443",
        ])
        for host in ["hub.example", "other.example:1", "a.example", "127.0.0.1:8080"] {
            #expect(try await answer(.get, host: host, fence) == 200, "\(host)")
            #expect(try await answer(.post, host: host, fence) == 200, "\(host)")
            for origin in ["https://hub.example", "http://other.example:8080", "https://a.example"] {
                #expect(try await answer(.post, host: host, origin: origin, fence) == 200, "\(host) \(origin)")
            }
            for origin in ["http://\(host)", "http://hub.example", "https://hub.example:8443", "null"] {
                #expect(try await answer(.post, host: host, origin: origin, fence) == 403, "\(host) \(origin)")
            }
        }
        #expect(try await answer(.get, host: "evil.example", fence) == 421)
    }

    @Test("Creating a fence with a host or origin that no browser sends throws")
    func invalidNames() {
        for host in ["", "a b", "http://a", "a/b", "*.example", "bücher.example", "a:b", "[::1"] {
            #expect(throws: LoopbackFence.InvalidName.self, "\(host)") { try LoopbackFence(hosts: [host]) }
        }
        for origin in [
            "", "hub.example", "https://", "https://a/", "ftp://a", "null", "https://a:", "https://a b", "*",
        ] {
            #expect(throws: LoopbackFence.InvalidName.self, "\(origin)") { try LoopbackFence(publicOrigins: [origin]) }
        }
    }
}
