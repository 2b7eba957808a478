// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthServer
import PlinthTestSupport
import Testing

/// Who the client is, on real connections.
@Suite("Behind trusted proxies")
struct TrustedProxyTests {
    private static let client = Interceptor.handler("client") { request in
        .text("\(request.clientAddress ?? "-") \(request.isSecureAtClient)")
    }

    private static let request = "GET / HTTP/1.0\r\nHost: test\r\nForwarded: for=192.0.2.1;proto=https\r\n\r\n"

    @Test(
        "The fields are believed from a trusted address or Unix socket only",
        arguments: [
            (["unix"], "127.0.0.1 false", "192.0.2.1 true"), (["127.0.0.0/8"], "192.0.2.1 true", "- false"),
            ([], "127.0.0.1 false", "- false"),
        ]
    )
    func peers(proxies: [String], overTCP: String, overUnix: String) async throws {
        let path = try TemporaryFolder.shared.path("proxy-\(proxies.first?.prefix(3) ?? "none")")
        let trusted = try TrustedProxies(proxies)
        try await withServer(
            [.trustedProxies(trusted), Self.client],
            configure: { $0.addresses = [.tcp(port: 0), .unix(path: path)] }
        ) { server in
            for (client, expected) in [
                (try await server.client(), overTCP), (try await RawClient.connect(path: path), overUnix),
            ] {
                try await client.send(Self.request)
                #expect(try await client.readToEnd().hasSuffix("\r\n\r\n\(expected)"))
            }
        }
    }

    @Test("On HTTP/2, each stream has the address of its connection")
    func http2() async throws {
        try await withServer([.trustedProxies(try TrustedProxies(["127.0.0.1"])), Self.client]) { server in
            let client = try await server.client()
            let target = [(":method", "GET"), (":scheme", "http"), (":authority", "test"), (":path", "/")]
            let fields = target + [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "https")]
            try await client.send(HTTP2Client.preface + HTTP2Client.request(fields, stream: 1))
            let body = try await client.frame { $0.type == 0 && !$0.payload.isEmpty }
            #expect(body.payload == Array("192.0.2.1 true".utf8))
            client.close()
        }
    }
}

#endif
