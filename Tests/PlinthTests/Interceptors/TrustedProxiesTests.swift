// SPDX-License-Identifier: Apache-2.0

import PlinthTestSupport
import PlinthTesting
import Testing

@testable import Plinth

@Suite("Trusted proxies")
struct TrustedProxiesTests {
    private func request(from peer: String?, _ fields: [(String, String)], isOnUnixSocket: Bool = false) throws
        -> Request
    {
        var head = HTTPRequest(method: .get, scheme: "http", authority: "inner.example", path: "/")
        for (name, value) in fields {
            head.headerFields.append(HTTPField(name: try #require(HTTPField.Name(name)), value: value))
        }
        var request = Request(head: head, remoteAddress: peer)
        request.isOnUnixSocket = isOnUnixSocket
        return request
    }

    /// What proxies 10.0.0.0/8 report of a request from 10.0.0.1.
    private func origin(_ fields: [(String, String)]) throws -> ForwardedOrigin? {
        try TrustedProxies(["10.0.0.0/8"]).origin(of: request(from: "10.0.0.1", fields))
    }

    private func origin(
        _ address: String?,
        isSecure: Bool? = nil,
        authority: String? = nil
    ) -> ForwardedOrigin {
        ForwardedOrigin(address: address, isSecure: isSecure, authority: authority)
    }

    // MARK: - Ranges

    @Test(
        "A range contains its addresses, and no others",
        arguments: [
            (
                "10.0.0.0/8", ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
                ["9.255.255.255", "11.0.0.0", "::a00:1"]
            ),
            ("192.0.2.7", ["192.0.2.7"], ["192.0.2.6", "192.0.2.8"]), ("192.0.2.6/31", ["192.0.2.7"], ["192.0.2.8"]),
            ("0.0.0.0/0", ["1.2.3.4", "255.255.255.255"], ["::1", "fd00::1"]),
            ("::/0", ["::1", "ffff::"], ["1.2.3.4", "::ffff:1.2.3.4"]),
            ("fd00::/8", ["fd12::1"], ["fe00::1", "fc00::1"]),
            ("2001:db8::/33", ["2001:db8:7fff::"], ["2001:db8:8000::"]),
            ("::1", ["::1", "0:0::1"], ["::2", "127.0.0.1"]),
            ("::ffff:10.0.0.0/104", ["10.1.1.1"], ["11.1.1.1"]), ("::ffff:10.0.0.1", ["10.0.0.1"], ["10.0.0.2"]),
            ("unix", [], ["unix", "", "127.0.0.1"]),
        ] as [(String, [String], [String])]
    )
    func ranges(range: String, inside: [String], outside: [String]) throws {
        let proxies = try TrustedProxies([range])
        #expect(!proxies.isEmpty)
        for address in inside { #expect(proxies.contains(address), "\(address)") }
        for address in outside { #expect(!proxies.contains(address), "\(address)") }
    }

    @Test(
        "Anything else is refused with an error that names it",
        arguments: [
            "", "10.0.0.0/", "/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0/8", "::/129",
            "::1/0128",
            "localhost", "Unix", " 10.0.0.1", "[::1]", "10.0.0.1/8", "fd00::1/64", "::ffff:10.0.0.1/104", "10.0.0.0/８",
        ]
    )
    func invalidRanges(range: String) {
        let error = #expect(throws: TrustedProxies.InvalidRange.self) { try TrustedProxies(["10.0.0.0/8", range]) }
        #expect(error?.description.contains(range.debugDescription) == true)
    }

    @Test("A range with bits after its prefix is refused with the range that may be meant")
    func bitsAfterThePrefix() {
        for (range, meant) in [
            ("10.1.2.3/8", "10.0.0.0/8"), ("fd00::1/64", "fd00::/64"), ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
        ] {
            let error = #expect(throws: TrustedProxies.InvalidRange.self) { try TrustedProxies([range]) }
            #expect(error?.description.contains("use \(meant) for") == true, "\(range)")
        }
    }

    // MARK: - Peers

    @Test("A request from another peer is not read")
    func otherPeers() throws {
        let fields = [("Forwarded", "for=1.2.3.4"), ("X-Forwarded-For", "1.2.3.4")]
        let proxies = try TrustedProxies(["10.0.0.0/8", "fd00::/8"])
        for peer in ["11.0.0.1", "::1", nil] { #expect(proxies.origin(of: try request(from: peer, fields)) == nil) }
        #expect(proxies.origin(of: try request(from: nil, fields, isOnUnixSocket: true)) == nil)
        for peer in ["10.0.0.1", "::ffff:10.0.0.1", "fd00::1"] {
            #expect(proxies.origin(of: try request(from: peer, fields)) == origin("1.2.3.4"))
        }
    }

    @Test("With `unix`, a Unix socket is trusted, and a TCP connection without an address is not")
    func unixSockets() throws {
        let proxies = try TrustedProxies(["unix"])
        let fields = [("X-Forwarded-For", "1.2.3.4")]
        #expect(proxies.origin(of: try request(from: nil, fields, isOnUnixSocket: true)) == origin("1.2.3.4"))
        #expect(proxies.origin(of: try request(from: nil, fields)) == nil)
        #expect(proxies.origin(of: try request(from: "127.0.0.1", fields)) == nil)
    }

    // MARK: - Forwarded

    @Test(
        "Trusted proxies are skipped from the right; the first other address is the client's",
        arguments: [
            ("for=1.1.1.1", "1.1.1.1"), ("for=6.6.6.6, for=1.1.1.1", "1.1.1.1"),
            ("for=1.1.1.1, for=10.0.0.2", "1.1.1.1"),
            ("for=6.6.6.6, for=1.1.1.1, for=\"10.0.0.3:80\", for=10.0.0.2", "1.1.1.1"),
            // A client that is itself in a trusted range.
            ("for=10.0.0.9, for=10.0.0.2", "10.0.0.9"), ("for=10.0.0.9", "10.0.0.9"),
            // Withheld, malformed or missing: the proxy that reports it, as the one before it names it.
            ("for=_hidden", nil), ("for=6.6.6.6, for=unknown", nil), ("for=_hidden, for=10.0.0.2", "10.0.0.2"),
            ("for=6.6.6.6, proto=http", nil), ("for=6.6.6.6, for=[::1], for=10.0.0.2", "10.0.0.2"),
            ("for=6.6.6.6, nonsense", nil), ("", nil), ("for=\"6.6.6.6, for=10.0.0.2", "10.0.0.2"),
        ] as [(String, String?)]
    )
    func hops(field: String, address: String?) throws {
        #expect(try origin([("Forwarded", field)])?.address == address)
    }

    @Test("Protocol and host are those of the proxy that names the client, never of one to the left")
    func protocolAndHost() throws {
        #expect(
            try origin([
                ("Forwarded", "for=6.6.6.6;proto=http;host=evil, for=1.1.1.1;proto=HTTPS;host=\"a.example:81\"")
            ])
                == origin("1.1.1.1", isSecure: true, authority: "a.example:81")
        )
        #expect(
            try origin([("Forwarded", "for=1.1.1.1;proto=https, for=10.0.0.2;proto=http;host=inner")])
                == origin("1.1.1.1", isSecure: true)
        )
        #expect(try origin([("Forwarded", "for=1.1.1.1;proto=ftp;host=\"a b\"")]) == origin("1.1.1.1"))
        #expect(try origin([("Forwarded", "proto=https;for=_x")]) == origin(nil, isSecure: true))
    }

    @Test("Several `Forwarded` fields are one list")
    func severalFields() throws {
        let fields = [("Forwarded", "for=\"6.6.6.6"), ("Forwarded", "for=1.1.1.1"), ("Forwarded", "for=10.0.0.2")]
        #expect(try origin(fields) == origin("1.1.1.1"))
    }

    @Test("At most 32 proxies are followed")
    func manyHops() throws {
        let field = "for=1.1.1.1" + String(repeating: ", for=10.0.0.2", count: 31)
        #expect(try origin([("Forwarded", field)]) == origin("1.1.1.1"))
        #expect(try origin([("Forwarded", field + ", for=10.0.0.2")]) == origin("10.0.0.2"))
    }

    // MARK: - X-Forwarded

    @Test(
        "`X-Forwarded-For` is read in the same way, in each of its notations",
        arguments: [
            ("1.1.1.1", "1.1.1.1"), ("6.6.6.6, 1.1.1.1", "1.1.1.1"), ("1.1.1.1,10.0.0.2 ,\t10.0.0.3", "1.1.1.1"),
            ("2001:DB8::1", "2001:db8::1"), ("[2001:db8::1]", "2001:db8::1"), ("[2001:db8::1]:80", "2001:db8::1"),
            ("1.1.1.1:80", "1.1.1.1"), ("10.0.0.9, 10.0.0.2", "10.0.0.9"), ("unknown", nil), ("6.6.6.6, unknown", nil),
            ("6.6.6.6, x, 10.0.0.2", "10.0.0.2"), (", 1.1.1.1 ,,", "1.1.1.1"), (",", nil), ("\"1.1.1.1\"", nil),
        ] as [(String, String?)]
    )
    func commonFields(field: String, address: String?) throws {
        #expect(try origin([("X-Forwarded-For", field)]) == origin(address))
    }

    @Test("Of several values of `X-Forwarded-Proto` and `-Host` the last counts")
    func lastValue() throws {
        let fields = [
            ("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-Proto", "http, https"), ("X-Forwarded-Host", "evil"),
            ("X-Forwarded-Host", "a.example"),
        ]
        #expect(try origin(fields) == origin("1.1.1.1", isSecure: true, authority: "a.example"))
        #expect(try origin([("X-Forwarded-Proto", "https")]) == origin(nil, isSecure: true))
        #expect(try origin([("X-Forwarded-Proto", "on"), ("X-Forwarded-Host", "a/b")]) == origin(nil))
        #expect(try origin([]) == nil)
    }

    @Test("With both forms, only what both say is believed")
    func bothForms() throws {
        let proxy = [("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-Proto", "https")]
        #expect(
            try origin(proxy + [("Forwarded", "for=\"1.1.1.1:80\";proto=https;host=evil")])
                == origin("1.1.1.1", isSecure: true)
        )
        #expect(try origin(proxy + [("Forwarded", "for=6.6.6.6;proto=http")]) == origin(nil))
        #expect(try origin(proxy + [("Forwarded", "nonsense")]) == origin(nil))
    }

    @Test("Whatever a client sends, the address that the proxy adds is the client's")
    func random() throws {
        var generator = SeededGenerator(seed: 5)
        let alphabet = Array("\"\"\\\\,,;;==for proto hst[]:_1.a10.0.0.2".utf8)
        let proxies = try TrustedProxies(["10.0.0.0/8"])
        for _ in 0..<5_000 {
            let count = Int.random(in: 0...40, using: &generator)
            let bytes = (0..<count).map { _ in alphabet.randomElement(using: &generator) ?? 0 }
            let text = String(decoding: bytes, as: UTF8.self)
            for (name, added) in [
                ("Forwarded", "for=203.0.113.9;proto=https"), ("Forwarded", "for=\"203.0.113.9:80\", for=10.0.0.7"),
                ("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-For", "203.0.113.9:80, 10.0.0.7"),
            ] {
                for fields in [[(name, text + ", " + added)], [(name, text), (name, added)]] {
                    let found = proxies.origin(of: try request(from: "10.0.0.1", fields))
                    #expect(found?.address == "203.0.113.9", "\(fields)")
                }
            }
            _ = proxies.origin(of: try request(from: "10.0.0.1", [("Forwarded", text), ("X-Forwarded-Host", text)]))
        }
    }

    // MARK: - Requests

    private func answer(_ proxies: TrustedProxies, _ request: Request) async throws -> String {
        let chain = Chain([
            .trustedProxies(proxies),
            .handler("client") { request in
                .text("\(request.clientAddress ?? "-") \(request.isSecureAtClient) \(request.publicAuthority ?? "-")")
            },
        ])
        return try await chain.response(for: request).body
    }

    @Test(
        "The interceptor puts the client on the request; without a trusted proxy the connection's values are returned"
    )
    func interceptor() async throws {
        let proxies = try TrustedProxies(["10.0.0.0/8"])
        let fields = [("Forwarded", "for=\"[2001:db8::0:1]:80\";proto=https;host=a.example")]
        let trusted = try request(from: "10.0.0.1", fields)
        #expect(try await answer(proxies, trusted) == "2001:db8::1 true a.example")
        #expect(try await answer(.none, trusted) == "10.0.0.1 false inner.example")
        #expect(try await answer(proxies, try request(from: "9.9.9.9", fields)) == "9.9.9.9 false inner.example")
        #expect(try await answer(proxies, try request(from: "10.0.0.1", [])) == "10.0.0.1 false inner.example")
        var secure = try request(from: "10.0.0.1", [("X-Forwarded-For", "unknown")])
        secure.isSecure = true
        #expect(try await answer(proxies, secure) == "10.0.0.1 true inner.example")
    }
}
