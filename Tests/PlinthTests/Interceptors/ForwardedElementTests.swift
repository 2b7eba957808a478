// SPDX-License-Identifier: Apache-2.0

import PlinthTestSupport
import Testing

@testable import Plinth

/// The parser of `Forwarded`, which reads from the right.
@Suite("Elements of `Forwarded`")
struct ForwardedElementTests {
    private func elements(_ field: String) -> [ForwardedElement] {
        var reader = ForwardedElements(field)
        var found: [ForwardedElement] = []
        while let element = reader.next() { found.append(element) }
        return found
    }

    private func element(_ address: String?, _ isSecure: Bool? = nil, _ authority: String? = nil) -> ForwardedElement {
        ForwardedElement(address: address.flatMap { IPAddress($0) }, isSecure: isSecure, authority: authority)
    }

    @Test("The examples of RFC 7239 are read from the right")
    func examples() {
        #expect(elements("for=\"_gazonk\"") == [element(nil)])
        #expect(elements("For=\"[2001:db8:cafe::17]:4711\"") == [element("2001:db8:cafe::17")])
        #expect(elements("for=192.0.2.60;proto=http;by=203.0.113.43") == [element("192.0.2.60", false)])
        #expect(elements("for=192.0.2.43, for=198.51.100.17") == [element("198.51.100.17"), element("192.0.2.43")])
        #expect(
            elements("for=_hidden, for=_SEVKISEK;host=example.com;by=\"[::1]:80\"")
                == [element(nil, nil, "example.com"), element(nil)]
        )
    }

    @Test(
        "A node is an address with or without a port, or withheld",
        arguments: [
            ("1.2.3.4", "1.2.3.4"), ("\"1.2.3.4:80\"", "1.2.3.4"), ("\"1.2.3.4:_port\"", "1.2.3.4"),
            ("\"[::1]:80\"", "::1"), ("\"[::1]\"", "::1"), ("\"[2001:DB8::1]:_a.b-c\"", "2001:db8::1"),
            ("\"::1\"", "::1"),
            ("\"[::ffff:1.2.3.4]\"", "1.2.3.4"), ("\"\\1.2.\\3.4\"", "1.2.3.4"), ("unknown", nil), ("_hidden", nil),
            ("\"unknown:80\"", nil), ("\"\"", nil), ("\"1.2.3.4:\"", nil), ("\"1.2.3.4:65536\"", nil),
            ("\"1.2.3.4:_\"", nil),
            ("\"[1.2.3.4]\"", nil), ("\"[::1\"", nil), ("\"::1]\"", nil), ("\"[::1]80\"", nil), ("\"[::1]:8x\"", nil),
            ("\" 1.2.3.4\"", nil), ("\"1.2.3.4, 5.6.7.8\"", nil), ("host.example", nil),
        ]
    )
    func nodes(value: String, address: String?) {
        #expect(elements("for=\(value);proto=https") == [element(address, true)])
    }

    @Test(
        "A host is a name or an address, with or without a port; another one is not reported",
        arguments: [
            ("a", true), ("a-b_c.example", true), ("\"a.example:8443\"", true), ("1.2.3.4", true),
            ("\"[::1]:80\"", true),
            ("\"[::1]\"", true), ("\"\"", false), ("\":80\"", false), ("\"a:\"", false), ("\"a:x\"", false),
            ("\"a:_x\"", false), ("\"a:65536\"", false), ("\"a b\"", false), ("\"a/b\"", false), ("\"a@b\"", false),
            ("\"[a]\"", false), ("\"[::1]:_x\"", false), ("\"é\"", false), ("\"a\\\"\"", false),
        ]
    )
    func hosts(value: String, isValid: Bool) {
        let text = value.split(separator: "\"").first.map(String.init) ?? ""
        #expect(elements("host=\(value);for=1.2.3.4") == [element("1.2.3.4", nil, isValid ? text : nil)])
    }

    @Test(
        "Empty elements and pairs are skipped, and spaces are allowed around separators",
        arguments: [
            "for=1.1.1.1,for=2.2.2.2", " for=1.1.1.1 ,\tfor=2.2.2.2 ", ",for=1.1.1.1,, ,for=2.2.2.2,",
            ";for=1.1.1.1;,;;for=2.2.2.2;",
            "for=1.1.1.1 ; ;, ; for=2.2.2.2", "FOR=1.1.1.1,;,fOr=\"2.2.2.2\"",
        ]
    )
    func separators(field: String) {
        #expect(elements(field) == [element("2.2.2.2"), element("1.1.1.1")])
    }

    @Test(
        "What is malformed ends the reading: nothing left of it is believed",
        arguments: [
            "for", "for=", "=a", "for=a b", "for =a", "for= a", "for=\"a", "for=a\"", "for=\"a\\\"", "for=\"\"a",
            "a\"b\"", "for=[::1]",
            "for=1.2.3.4:80", "for=a;for=b", "For=a;proto=http;fOR=a", "by=a;by=b", "proto=http;for=\"a\"b", "for=a=b",
            "\"",
            "\"\"", "\\", "for=a for=b", "for=é",
        ]
    )
    func malformed(text: String) {
        #expect(elements(text) == [])
        #expect(elements("for=1.1.1.1, \(text), for=2.2.2.2").first == element("2.2.2.2"))
        // A quotation mark may find another one on the left, but never gets past the elements of proxies.
        #expect(elements("for=1.1.1.1, \(text)").isEmpty)
    }

    @Test("What is written to the left, cut anywhere, changes nothing on the right")
    func splits() {
        let left = "for=\"_a\\\"b, \\\\\";ext=\"x;y=z, for=9.9.9.9\", For=\"[::1]:80\";proto=HTTPS"
        let right = "for=\"1.2.3.4:5\";host=\"a.example:80\";ext=\"\\\\\\\"\", for=5.6.7.8;proto=http"
        let expected = [element("5.6.7.8", false), element("1.2.3.4", nil, "a.example:80")]
        #expect(elements(right) == expected)
        #expect(elements(left + "," + right) == expected + [element("::1", true), element(nil)])
        for cut in left.indices {
            #expect(Array(elements("\(left[cut...]),\(right)").prefix(2)) == expected)
            #expect(Array(elements("\(left[..<cut]),\(right)").prefix(2)) == expected)
        }
        for cut in right.indices { _ = elements(String(right[..<cut])) }
    }

    @Test("Random elements in random notation are read back; random bytes before them change nothing")
    func random() {
        var generator = SeededGenerator(seed: 7)
        let noise = Array("\"\"\\\\,,;;==for proto hst[]:_1.a".utf8)
        for _ in 0..<3_000 {
            var expected: [ForwardedElement] = []
            var texts: [String] = []
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let (element, text) = Self.element(&generator)
                expected.insert(element, at: 0)
                texts.append(text)
            }
            let field = texts.joined(separator: [",", ", ", " ,\t", ",,"].randomElement(using: &generator) ?? ",")
            #expect(elements(field) == expected, "\(field)")
            let count = Int.random(in: 0...30, using: &generator)
            let bytes = (0..<count).map { _ in noise.randomElement(using: &generator) ?? 0 }
            let all = elements(String(decoding: bytes, as: UTF8.self) + "," + field)
            #expect(Array(all.prefix(expected.count)) == expected, "\(String(decoding: bytes, as: UTF8.self)),\(field)")
        }
    }

    private static func element(_ generator: inout SeededGenerator) -> (ForwardedElement, String) {
        var element = ForwardedElement()
        var pairs: [String] = []
        let address = UInt32.random(in: 0 ... .max, using: &generator)
        element.address = IPAddress(ipv4: address)
        pairs.append("for=" + quoted("\(IPAddress(ipv4: address))", &generator))
        if Bool.random(using: &generator) {
            element.isSecure = Bool.random(using: &generator)
            pairs.append("Proto=" + quoted(element.isSecure == true ? "https" : "http", &generator))
        }
        if Bool.random(using: &generator) {
            element.authority = "h\(Int.random(in: 0...9, using: &generator)).example"
            pairs.append("host=" + quoted(element.authority ?? "", &generator))
        }
        if Bool.random(using: &generator) { pairs.append("by=\"a;b=c,\\\"d\\\\\"") }
        pairs.shuffle(using: &generator)
        return (element, pairs.joined(separator: ";"))
    }

    /// A value as a token, or as a quoted string with some bytes escaped.
    private static func quoted(_ value: String, _ generator: inout SeededGenerator) -> String {
        guard Bool.random(using: &generator) else { return value }
        var text = "\""
        for character in value { text += (Bool.random(using: &generator) ? "\\" : "") + String(character) }
        return text + "\""
    }
}
