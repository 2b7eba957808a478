// SPDX-License-Identifier: Apache-2.0

/// A token that requests carry as `Authorization: Bearer …` (RFC 6750, section 2.1).
struct BearerToken: Sendable, Equatable {
    /// Why text is not a token; never quotes it.
    struct Failure: Error {
        /// The end of a sentence whose subject is where the text is from.
        let reason: String
    }

    /// The maximum size of the text, with the white space around the token: 64 KiB.
    static let maximumSize = 64 * 1024

    private let text: String

    /// Parses text: a token on one line, and white space around it, which is removed.
    ///
    /// Any visible ASCII characters are taken, and not only those of RFC 6750, as API keys may have others.
    ///
    /// - Parameter bytes: The text.
    /// - Throws: ``Failure`` if it is larger than ``maximumSize``, is empty, or holds more than a token.
    init(_ bytes: some Collection<UInt8>) throws(Failure) {
        guard bytes.count <= Self.maximumSize else {
            throw Failure(reason: "is larger than \(Self.maximumSize) bytes")
        }
        let start = bytes.drop(while: Self.isWhiteSpace)
        let token = Array(start.reversed().drop(while: Self.isWhiteSpace).reversed())
        guard !token.isEmpty else { throw Failure(reason: "is empty") }
        guard !token.contains(where: { $0 == 0x0A || $0 == 0x0D }) else { throw Failure(reason: "has several lines") }
        guard token.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw Failure(reason: "holds more than a token: blanks, control characters, or characters beyond ASCII")
        }
        text = String(decoding: token, as: UTF8.self)
    }

    private static func isWhiteSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

    /// The value of the field `Authorization`.
    var authorization: String { "Bearer \(text)" }
}
