// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import PlinthClient

/// Parsing and resolving as in the URL standard.
@Suite("URLs")
struct AddressTests {
    @Test(
        "An absolute URL is parsed and normalised",
        arguments: [
            ("http://a", "http://a/"), ("HTTP://A.Example:80/x", "http://a.example/x"),
            ("https://a:443", "https://a/"), ("https://a:80/", "https://a:80/"), ("http://a:/b", "http://a/b"),
            (" http://a/b \n", "http://a/b"), ("ht\ttp://a/\nb", "http://a/b"), ("http:a/b", "http://a/b"),
            ("http:\\\\a\\b", "http://a/b"), ("http://a/b/../c/./d", "http://a/c/d"), ("http://a/b/..", "http://a/"),
            ("http://a/%2e%2E/b", "http://a/b"), ("http://a?q", "http://a/?q"), ("http://a/b#f?x", "http://a/b"),
            ("http://a/ä \"<>`{}", "http://a/%C3%A4%20%22%3C%3E%60%7B%7D"), ("http://a/?ä '", "http://a/?%C3%A4%20%27"),
            ("http://u:p@a/", "http://a/"), ("http://[::1]:8080/", "http://[::1]:8080/"),
            ("http://a//b", "http://a//b"),
            ("http://a/b?", "http://a/b?"), ("http://a/%zz", "http://a/%zz"),
        ]
    )
    func absolute(_ text: String, _ url: String) throws {
        #expect(try HTTPAddress(text).string == url)
    }

    @Test(
        "User name and password are percent-decoded for Authorization",
        arguments: [
            ("http://user:pass@a/", "dXNlcjpwYXNz"), ("http://user@a/", "dXNlcjo="), ("http://:pass@a/", "OnBhc3M="),
            ("http://u%40v:p%3Aq%2f@a/", "dUB2OnA6cS8="), ("http://u:p:q@a/", "dTpwOnE="),
            ("http://u:p%zz%4@a/", "dTpwJXp6JTQ="), ("http://u:é@a/", "dTrDqQ=="), ("http://u:%ff@a/", "dTr/"),
            ("http://u:@p@a/", "dTpAcA=="),
        ]
    )
    func userInformation(_ text: String, _ value: String) throws {
        let address = try HTTPAddress(text)
        #expect(address.basicAuthorization == "Basic " + value)
        #expect(address.string == "http://a/")
    }

    @Test("A URL without a user name has no credentials", arguments: ["http://a/", "http://@a/", "http://:@a/"])
    func noUserInformation(_ text: String) throws {
        #expect(try HTTPAddress(text).basicAuthorization == nil)
    }

    @Test(
        "Possible credentials are removed from the text for messages",
        arguments: [
            ("http://user:pass@a/b", "http://…@a/b"), ("http://u:p/q@a:x/", "http://…@a:x/"), ("u:p@a", "…@a"),
            ("//u:p@q@a/", "…@a/"), ("http://a/b", "http://a/b"), ("http://u:p://q@a/", "http://…@a/"), ("", ""),
            ("//u:p@h/?u=http://x@y", "…@y"), ("u:p@h/?u=http://x@y", "…@y"),
        ]
    )
    func redacted(_ text: String, _ expected: String) {
        #expect(HTTPAddress.redacted(text) == expected)
    }

    @Test(
        "Text that is not an absolute HTTP URL is rejected",
        arguments: [
            "", "/a", "a", "//a/b", "http://", "http:///", "http://?", "http://a b/", "http://a:x/", "http://a:65536/",
            "http://[::1/", "http://::1/", "http://a%41/", "ftp://a/", "mailto:a", "://a", "http://[]/", "http://a]/",
        ]
    )
    func invalid(_ text: String) {
        #expect(throws: HTTPAddress.Failure.self) { try HTTPAddress(text) }
    }

    @Test(
        "A reference is resolved against its base URL",
        arguments: [
            ("t", "http://a/b/t"), ("./t", "http://a/b/t"), ("../t", "http://a/t"), ("../../../t", "http://a/t"),
            ("/t", "http://a/t"), ("\\t", "http://a/t"), ("//c/t", "http://c/t"), ("https://c", "https://c/"),
            ("?r", "http://a/b/c?r"), ("#f", "http://a/b/c?q"), ("", "http://a/b/c?q"), (".", "http://a/b/"),
            ("..", "http://a/"), ("t/", "http://a/b/t/"), ("http:t", "http://a/b/t"), ("http:/t", "http://a/t"),
            ("https:t", "https://t/"), ("t:u", "scheme t"), ("t?a=//b", "http://a/b/t?a=//b"),
            ("/ä", "http://a/%C3%A4"),
            ("data:x", "scheme data"), ("http://[", "invalid"), ("https://", "invalid"), ("///c", "http://c/"),
        ]
    )
    func relative(_ reference: String, _ url: String) throws {
        let base = try HTTPAddress("http://a/b/c?q")
        do throws(HTTPAddress.Failure) {
            #expect(try base.resolve(reference).string == url)
        } catch {
            switch error {
            case .invalid: #expect(url == "invalid")
            case .scheme(let scheme): #expect(url == "scheme \(scheme)")
            }
        }
    }

    @Test("Random text neither traps nor resolves to an invalid URL")
    func random() throws {
        let alphabet = Array("htp:/\\?#@[]%. a0é")
        for seed in 0..<20_000 {
            var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 &+ 1
            let text = String(
                (0..<(seed % 12)).map { _ in
                    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                    return alphabet[Int(state >> 33) % alphabet.count]
                }
            )
            guard let url = try? HTTPAddress("http://a/b").resolve(text) else { continue }
            #expect(try HTTPAddress(url.string).string == url.string, "\(text.debugDescription)")
        }
    }
}
