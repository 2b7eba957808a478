// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import PlinthClient
import Testing

@testable import PlinthCLI

@Suite("ProxySettings")
struct ProxySettingsTests {
    /// The proxy for a URL: `direct`, `failed`, or `[socks ]host:port[ credentials]`.
    private func proxy(_ url: String, _ option: String? = nil, _ environment: [String: String]) throws -> String {
        let settings = ProxySettings(option: option, environment: environment)
        do throws(ProxySettings.Failure) {
            guard let proxy = try settings.proxy(for: HTTPAddress(known: url)) else { return "direct" }
            let kind = proxy.kind == .socks ? "socks " : ""
            return "\(kind)\(proxy.host):\(proxy.port)" + (proxy.authorization.map { " \($0)" } ?? "")
        } catch {
            return "failed"
        }
    }

    @Test(
        "A scheme's variable overrides all_proxy, lower case overrides upper, and an empty one counts as unset",
        arguments: [
            ("http://a.test/", ["http_proxy": "http://p:1"], "p:1"),
            ("http://a.test/", ["HTTP_PROXY": "http://p:1"], "p:1"),
            ("http://a.test/", ["HTTP_PROXY": "p:1", "http_proxy": "q:2"], "q:2"),
            ("http://a.test/", ["https_proxy": "p:1"], "direct"),
            ("https://a.test/", ["http_proxy": "p:1"], "direct"),
            ("https://a.test/", ["https_proxy": "p:1", "all_proxy": "q:2"], "p:1"),
            ("https://a.test/", ["HTTPS_PROXY": "p:1"], "p:1"),
            ("http://a.test/", ["all_proxy": "q:2"], "q:2"), ("https://a.test/", ["ALL_PROXY": "q:2"], "q:2"),
            ("http://a.test/", ["http_proxy": "", "all_proxy": "q:2"], "q:2"),
            ("http://a.test/", ["http_proxy": ""], "direct"), ("http://a.test/", [:], "direct"),
            // In a CGI program the upper-case variable comes from the request.
            ("http://a.test/", ["HTTP_PROXY": "evil:1", "REQUEST_METHOD": "GET"], "direct"),
            ("http://a.test/", ["http_proxy": "p:1", "REQUEST_METHOD": "GET"], "p:1"),
            ("https://a.test/", ["HTTPS_PROXY": "p:1", "REQUEST_METHOD": "GET"], "p:1"),
            ("http://a.test/", ["HTTP_PROXY": "evil:1", "ALL_PROXY": "q:2", "REQUEST_METHOD": "GET"], "q:2"),
        ]
    )
    func variables(_ url: String, _ environment: [String: String], _ expected: String) throws {
        #expect(try proxy(url, environment) == expected)
    }

    private func proxy(_ url: String, _ environment: [String: String]) throws -> String {
        try proxy(url, nil, environment)
    }

    @Test(
        "The option overrides all variables, and an empty one means no proxy",
        arguments: [("http://o:3", "o:3"), ("", "direct"), ("socks5://o", "socks o:1080"), ("ftp://o:3", "failed")]
    )
    func option(_ option: String, _ expected: String) throws {
        #expect(try proxy("http://a.test/", option, ["http_proxy": "p:1", "all_proxy": "q:2"]) == expected)
        #expect(try proxy("http://localhost/", option, [:]) == "direct")
    }

    @Test(
        "A proxy is a URL or a host with a port, 1080 by default",
        arguments: [
            ("p", "p:1080"), ("p:3128", "p:3128"), ("http://p", "p:1080"), ("http://p:80/", "p:80"),
            ("http://p:443", "p:443"), ("HTTP://P:1", "p:1"), ("http://[::1]:3", "::1:3"),
            ("http://u:p%40ss@p:1", "p:1 Basic dTpwQHNz"), ("u:s@p:1", "p:1 Basic dTpz"),
            ("socks5://p:1", "socks p:1"), ("socks5h://p", "socks p:1080"), ("socks5://u:s@p", "failed"),
            ("https://p:1", "failed"), ("socks4://p", "failed"), ("http://", "failed"), ("http://p:x", "failed"),
            ("a b", "failed"),
        ]
    )
    func forms(_ text: String, _ expected: String) throws {
        #expect(try proxy("http://a.test/", ["http_proxy": text]) == expected)
    }

    @Test("An invalid variable is an error without its password, and only for URLs that use it")
    func wrongVariable() throws {
        let settings = ProxySettings(option: nil, environment: ["https_proxy": "ftp://u:secret@p"])
        let error = try #require(throws: ProxySettings.Failure.self) {
            try settings.proxy(for: HTTPAddress(known: "https://a.test/"))
        }
        #expect(error.description.contains("https_proxy") && !error.description.contains("secret"))
        #expect(try settings.proxy(for: HTTPAddress(known: "http://a.test/")) == nil)
        #expect(try settings.proxy(for: HTTPAddress(known: "https://localhost/")) == nil)
    }

    @Test(
        "Loopback hosts have no proxy",
        arguments: [
            "localhost", "LOCALHOST", "localhost.", "a.localhost", "127.0.0.1", "127.9.9.9", "127.1", "2130706433",
            "0x7f000001", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "[0:0:0:0:0:0:0:1]",
        ]
    )
    func loopback(_ host: String) throws {
        #expect(try proxy("http://\(host):8080/", "http://p:1", [:]) == "direct")
    }

    @Test(
        "Hosts that resemble loopback hosts have a proxy",
        arguments: ["localhost.test", "xlocalhost", "128.0.0.1", "[::2]", "127.test", "[::127.0.0.1]", "1.0.0.127"]
    )
    func notLoopback(_ host: String) throws {
        #expect(try proxy("http://\(host):8080/", "http://p:1", [:]) == "p:1")
    }

    @Test(
        "NO_PROXY matches names and their subdomains, addresses, networks, ports and *",
        arguments: [
            ("a.test", "a.test", true), ("x.a.test", "a.test", true), ("x.a.test", ".a.test", true),
            ("a.test", ".a.test", true), ("x.a.test", "*.a.test", true), ("xa.test", "a.test", false),
            ("A.TEST", "a.Test", true), ("a.test.", "a.test", true), ("a.test", "a.test.", true),
            ("a.test", "b.test, a.test", true), ("a.test", "b.test a.test", true), ("a.test", "*", true),
            ("a.test", "b.test,*", true), ("a.test", "test", true), ("a.test", "", false), ("a.test", ",,", false),
            ("a.test", ".", false), ("a.test:8080", "a.test:8080", true), ("a.test:8081", "a.test:8080", false),
            ("a.test", "a.test:80", true), ("a.test", "a.test:x", false),
            ("10.1.2.3", "10.0.0.0/8", true), ("11.1.2.3", "10.0.0.0/8", false), ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.0/23", true), ("10.1.4.3", "10.1.2.0/23", false), ("10.1.2.3", "0.0.0.0/0", true),
            ("10.1.2.3", "10.1.2.3/32", true), ("10.1.2.3", "10.1.2.3/33", false), ("10.1.2.3", "10.1.2.3/-1", false),
            ("10.1.2.3", "10.1.2.3/x", false), ("10.1.2.3", "a/8", false), ("a.test", "10.0.0.0/8", false),
            ("10.1.2.3", "1.2.3", false), ("[2001:db8::1]", "2001:db8::/32", true),
            ("[2001:db9::1]", "2001:db8::/32", false), ("[2001:db8::1]", "2001:db8::1", true),
            ("[2001:db8:0::1]", "[2001:db8::1]", true), ("[2001:db8::1]:8080", "[2001:db8::1]:8080", true),
            ("[2001:db8::1]", "[2001:db8::1]:8080", false), ("[::ffff:10.1.2.3]", "10.0.0.0/8", true),
        ]
    )
    func exceptions(_ host: String, _ list: String, _ isDirect: Bool) throws {
        let expected = isDirect ? "direct" : "p:1"
        #expect(try proxy("http://\(host)/", nil, ["http_proxy": "p:1", "NO_PROXY": list]) == expected)
        #expect(try proxy("http://\(host)/", "p:1", ["no_proxy": list]) == expected)
        #expect(try proxy("http://\(host)/", "p:1", ["no_proxy": "none.test", "NO_PROXY": list]) == "p:1")
    }
}

extension HTTPAddress {
    /// Parses a URL known to be valid.
    fileprivate init(known text: String) {
        guard let address = try? HTTPAddress(text) else { preconditionFailure("\(text) is a URL.") }
        self = address
    }
}
#endif
