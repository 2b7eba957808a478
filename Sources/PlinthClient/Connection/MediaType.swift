// SPDX-License-Identifier: Apache-2.0

import HTTPTypes

/// What the `Content-Type` fields of a response say.
struct MediaType: Equatable {
    /// Type and subtype, in lower case.
    var essence: String
    /// The value of the first parameter `charset`, in lower case.
    var charset: String?

    /// Of several fields the last one that is a media type and not `*/*` counts, as in the Fetch standard's
    /// [extraction](https://fetch.spec.whatwg.org/#concept-header-extract-mime-type); a comma within one does not divide
    /// it, as in Chromium.
    init?(_ fields: HTTPFields) {
        var found: MediaType?
        for value in fields[values: .contentType] {
            guard let type = MediaType(value), type.essence != "*/*" else { continue }
            let charset = type.essence == found?.essence ? found?.charset : nil
            found = type
            if type.charset == nil { found?.charset = charset }
        }
        guard let found else { return nil }
        self = found
    }

    private init?(_ value: String) {
        let parts = value.utf8.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false)
        let isSpace: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 }
        // Type and subtype end at a space, and at the parenthesis of a comment.
        guard
            let first = parts.first?.drop(while: isSpace).prefix(while: { !isSpace($0) && $0 != UInt8(ascii: "(") })
        else { return nil }
        let halves = first.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard halves.count == 2, halves.allSatisfy({ HTTPField.Name(String(Substring($0))) != nil }) else { return nil }
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
}
