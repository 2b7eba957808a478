// SPDX-License-Identifier: Apache-2.0

/// The media type of a `Content-Type` field (RFC 9110, section 8.3.1).
package struct MediaType: Sendable, Equatable {
    /// Type and subtype, in lower case.
    package let essence: String
    /// The first `charset` parameter, in lower case and without quotes; nil for none.
    package var charset: String?

    /// Parses a field value.
    ///
    /// - Parameter value: The field value. If it is nil or not a media type, the result is nil.
    package init?(_ value: String?) {
        guard let value else { return nil }
        let parts = value.utf8.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false)
        let isSpace: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 }
        // The subtype ends at a space or at the parenthesis of a comment.
        guard
            let first = parts.first?.drop(while: isSpace).prefix(while: { !isSpace($0) && $0 != UInt8(ascii: "(") })
        else { return nil }
        let halves = first.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard halves.count == 2, halves.allSatisfy({ !$0.isEmpty && $0.allSatisfy(Self.isTokenByte) }) else {
            return nil
        }
        essence = String(Substring(first)).lowercased()
        for part in parts.dropFirst() {
            guard let equals = part.firstIndex(of: UInt8(ascii: "=")) else { continue }
            let name = String(Substring(part[..<equals])).lowercased().filter { $0 != " " && $0 != "\t" }
            guard name == "charset" else { continue }
            charset = String(Substring(part[part.index(after: equals)...])).lowercased()
                .filter { !" \t\"'".contains($0) }
            break
        }
    }

    /// Whether it is the media type of a URL-encoded form.
    package var isForm: Bool { essence == "application/x-www-form-urlencoded" }

    /// Whether it is JSON, or has the `+json` suffix (RFC 6839, section 3.1).
    package var isJSON: Bool {
        essence == "application/json" || (essence.hasPrefix("application/") && essence.hasSuffix("+json"))
    }

    /// Whether it is an event stream.
    package var isEventStream: Bool { essence == "text/event-stream" }

    /// Whether a byte may be in a token (RFC 9110, section 5.6.2).
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}
