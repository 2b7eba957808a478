// SPDX-License-Identifier: Apache-2.0

#if JWT
import PlinthTestSupport
import Testing

@testable import PlinthJWT

@Suite("Base64url")
struct Base64URLTests {
    private func decode(_ text: String) -> [UInt8]? { Base64URL.decode(Array(text.utf8)[...]) }

    @Test(
        "The examples of RFC 4648 are decoded and encoded without padding",
        arguments: [
            ("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("fooba", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy"),
        ]
    )
    func examples(text: String, encoded: String) {
        #expect(decode(encoded) == Array(text.utf8))
        #expect(Base64URL.encode(text.utf8) == encoded)
    }

    @Test("Random bytes of each length come back")
    func roundTrip() {
        var random = SeededGenerator(seed: 11)
        for length in 0..<200 {
            let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
            #expect(decode(Base64URL.encode(bytes)) == bytes)
        }
    }

    @Test("Of all texts of two or three characters, each encodes other bytes")
    func canonical() {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        var decoded: Set<[UInt8]> = []
        for first in alphabet {
            for second in alphabet {
                if let bytes = Base64URL.decode([first, second]) { #expect(decoded.insert(bytes).inserted) }
                for third in alphabet {
                    if let bytes = Base64URL.decode([first, second, third]) { #expect(decoded.insert(bytes).inserted) }
                }
            }
        }
        // All of one byte and all of two.
        #expect(decoded.count == 256 + 65536)
    }

    @Test(
        "Padding, other alphabets, white space and impossible lengths are refused",
        arguments: [
            "Zg==", "Zg=", "Zm8=", "Z", "Zm9vY", "Zm+v", "Zm/v", "Zm9 v", "Zm9v\n", " Zm9v", "Zm9é", "Z\0", "Zh",
        ]
    )
    func refused(text: String) {
        #expect(decode(text) == nil)
    }
}
#endif
