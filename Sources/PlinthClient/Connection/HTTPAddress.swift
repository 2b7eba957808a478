// SPDX-License-Identifier: Apache-2.0

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// An HTTP or HTTPS URL, parsed and resolved as in the [URL standard](https://url.spec.whatwg.org/#url-parsing), as far
/// as requests need it.
///
/// Hosts are lowercased and not converted: internationalized names are left to the transport.
package struct HTTPAddress: Sendable, Hashable {
    /// Why a URL was rejected.
    package enum Failure: Error, Equatable {
        case invalid
        /// The scheme is neither HTTP nor HTTPS.
        case scheme(String)
    }

    /// `http` or `https`.
    package private(set) var scheme: String
    /// User name and password as written, with the at sign; empty for none.
    private var credentials: String
    /// In lower case; an IPv6 address is in brackets.
    package private(set) var host: String
    /// Nil for the scheme's default port.
    package private(set) var port: Int?
    /// The path, with its leading slash.
    private(set) var path: String
    private(set) var query: String?

    /// Parses an absolute URL.
    package init(_ text: String) throws(Failure) {
        try self.init(text, base: nil)
    }

    /// Resolves the reference of a `Location` field.
    package func resolve(_ reference: String) throws(Failure) -> HTTPAddress {
        try HTTPAddress(reference, base: self)
    }

    /// The URL without user name and password, which must not appear in a request line or a message.
    package var string: String { "\(scheme)://\(authority)\(target)" }

    /// Host and port, as in the `Host` field.
    package var authority: String { host + (port.map { ":\($0)" } ?? "") }

    /// Path and query, as in a request line.
    package var target: String { path + (query.map { "?\($0)" } ?? "") }

    var hasCredentials: Bool { !credentials.isEmpty }

    /// User name and password, percent-decoded, as a value of `Authorization` (RFC 7617); nil if there are none.
    package var basicAuthorization: String? {
        guard hasCredentials else { return nil }
        let parts = credentials.utf8.dropLast().split(
            separator: UInt8(ascii: ":"),
            maxSplits: 1,
            omittingEmptySubsequences: false
        )
        let password = parts.count > 1 ? Self.percentDecoded(parts[1]) : []
        let text = Self.percentDecoded(parts[0]) + [UInt8(ascii: ":")] + password
        return "Basic " + Data(text).base64EncodedString()
    }

    /// Removes possible credentials from a text, for messages.
    ///
    /// The text need not be a valid URL. Everything between its scheme and its last at sign is removed: a password may
    /// contain an unencoded slash.
    package static func redacted(_ text: String) -> String {
        guard let at = text.utf8.lastIndex(of: UInt8(ascii: "@")) else { return text }
        var start = text.startIndex
        // Only at the beginning: credentials may precede another one, as in `//u:p@h/?to=http://x@y`.
        if let scheme = text.utf8[..<at].firstRange(of: "://".utf8),
            text.utf8[..<scheme.lowerBound].allSatisfy({ isSchemeByte($0) })
        {
            start = scheme.upperBound
        }
        return String(text[..<start]) + "…" + String(text[at...])
    }

    /// Whether a byte may stand in a scheme (RFC 3986, section 3.1).
    private static func isSchemeByte(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || (0x30...0x39).contains(byte)
            || [UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: ".")].contains(byte)
    }

    static func percentDecoded(_ text: some Sequence<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        var rest = Array(text)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(2)
            if byte == UInt8(ascii: "%"), digits.count == 2, digits.allSatisfy(isHexDigit),
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
            {
                result.append(value)
                rest = rest.dropFirst(2)
            } else {
                result.append(byte)
            }
        }
        return result
    }

    package func hasSameOrigin(as other: HTTPAddress) -> Bool {
        scheme == other.scheme && host == other.host && port == other.port
    }

    // MARK: - Parsing

    private init(_ text: String, base: HTTPAddress?) throws(Failure) {
        // "Remove any leading and trailing C0 control or space", "remove all ASCII tab or newline".
        var rest = Array(text.utf8)[...]
        while let first = rest.first, first <= 0x20 { rest.removeFirst() }
        while let last = rest.last, last <= 0x20 { rest.removeLast() }
        rest.removeAll { $0 == 0x09 || $0 == 0x0A || $0 == 0x0D }
        // The fragment is not sent.
        if let hash = rest.firstIndex(of: UInt8(ascii: "#")) { rest = rest[..<hash] }

        var isAbsolute = base == nil
        scheme = base?.scheme ?? ""
        if let name = Self.scheme(of: rest) {
            guard name == "http" || name == "https" else { throw .scheme(name) }
            rest = rest.dropFirst(name.utf8.count + 1)
            // "http:path" is relative to a base of the same scheme.
            isAbsolute = base == nil || name != scheme || Self.slashes(rest) == 2
            scheme = name
        } else if base == nil {
            throw .invalid
        } else {
            isAbsolute = Self.slashes(rest) == 2
        }
        if isAbsolute || base == nil {
            let authority = rest.drop(while: Self.isSlash)
            let end = authority.firstIndex { Self.isSlash($0) || $0 == UInt8(ascii: "?") } ?? authority.endIndex
            (credentials, host, port) = try Self.authority(authority[..<end], scheme: scheme)
            (path, query) = Self.path(authority[end...], onto: [])
        } else if let base {
            (credentials, host, port) = (base.credentials, base.host, base.port)
            (path, query) = (base.path, base.query)
            if rest.isEmpty { return }
            if Self.slashes(rest) > 0 {
                (path, query) = Self.path(rest, onto: [])
            } else if rest.first == UInt8(ascii: "?") {
                query = Self.encoded(rest.dropFirst(), isQuery: true)
            } else {
                let folder = base.path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
                    .dropFirst().dropLast().map { String(Substring($0)) }
                (path, query) = Self.path(rest, onto: folder)
            }
        } else {
            throw .invalid
        }
    }

    /// The scheme in lower case, if the text begins with one.
    private static func scheme(of text: ArraySlice<UInt8>) -> String? {
        guard let colon = text.firstIndex(of: UInt8(ascii: ":")), let first = text.first, isLetter(first),
            text[..<colon].allSatisfy({ isLetter($0) || isDigit($0) || [0x2B, 0x2D, 0x2E].contains($0) })
        else { return nil }
        return String(decoding: text[..<colon], as: UTF8.self).lowercased()
    }

    /// The number of leading slashes and backslashes, at most 2.
    private static func slashes(_ text: ArraySlice<UInt8>) -> Int {
        text.prefix(2).prefix(while: isSlash).count
    }

    private static func authority(
        _ text: ArraySlice<UInt8>,
        scheme: String
    ) throws(Failure) -> (credentials: String, host: String, port: Int?) {
        var rest = text
        var credentials = ""
        if let at = rest.lastIndex(of: UInt8(ascii: "@")) {
            let user = String(decoding: rest[..<at], as: UTF8.self)
            if !user.isEmpty && user != ":" { credentials = user + "@" }
            rest = rest[(at + 1)...]
        }
        var port: Int?
        let bracket = rest.lastIndex(of: UInt8(ascii: "]")) ?? rest.startIndex
        if let colon = rest.lastIndex(of: UInt8(ascii: ":")), colon >= bracket {
            let digits = rest[(colon + 1)...]
            if !digits.isEmpty {
                guard digits.allSatisfy(isDigit), digits.count <= 10,
                    let number = Int(String(decoding: digits, as: UTF8.self)), number <= 65_535
                else { throw .invalid }
                port = number == (scheme == "http" ? 80 : 443) ? nil : number
            }
            rest = rest[..<colon]
        }
        let isForbidden: (UInt8) -> Bool = { $0 <= 0x20 || $0 == 0x7F || "#/<>?@\\^|%".utf8.contains($0) }
        guard !rest.isEmpty, !rest.contains(where: isForbidden) else { throw .invalid }
        if rest.contains(where: { $0 == UInt8(ascii: "[") || $0 == UInt8(ascii: "]") || $0 == UInt8(ascii: ":") }) {
            let isAddress: (UInt8) -> Bool = { isHexDigit($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") }
            guard rest.count > 3, rest.first == UInt8(ascii: "["), rest.last == UInt8(ascii: "]"),
                rest.dropFirst().dropLast().allSatisfy(isAddress)
            else { throw .invalid }
        }
        return (credentials, String(decoding: rest, as: UTF8.self).lowercased(), port)
    }

    /// Appends a path to the segments of a folder and resolves `.` and `..`.
    private static func path(_ text: ArraySlice<UInt8>, onto folder: [String]) -> (path: String, query: String?) {
        let mark = text.firstIndex(of: UInt8(ascii: "?")) ?? text.endIndex
        let query = mark == text.endIndex ? nil : encoded(text[(mark + 1)...], isQuery: true)
        var segments = folder
        var parts = text[..<mark].split(omittingEmptySubsequences: false, whereSeparator: isSlash)
        // An absolute path begins with an empty part.
        if let first = text.first, isSlash(first) { parts.removeFirst() }
        for (index, part) in parts.enumerated() {
            let isLast = index == parts.count - 1
            switch String(decoding: part, as: UTF8.self).lowercased().replacingEncodedDots {
            case ".":
                if isLast { segments.append("") }
            case "..":
                _ = segments.popLast()
                if isLast { segments.append("") }
            default:
                segments.append(encoded(part, isQuery: false))
            }
        }
        return ("/" + segments.joined(separator: "/"), query)
    }

    /// Percent-encodes the URL standard's sets and what RFC 3986 does not allow.
    private static func encoded(_ text: ArraySlice<UInt8>, isQuery: Bool) -> String {
        let hex = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text {
            let isEncoded =
                byte <= 0x20 || byte >= 0x7F || "\"<>".utf8.contains(byte)
                || (isQuery ? byte == UInt8(ascii: "'") : "^`{}".utf8.contains(byte))
            bytes += isEncoded ? [UInt8(ascii: "%"), hex[Int(byte >> 4)], hex[Int(byte & 15)]] : [byte]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func isSlash(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "/") || byte == UInt8(ascii: "\\") }
    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
    private static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte | 0x20) }
    private static func isHexDigit(_ byte: UInt8) -> Bool { isDigit(byte) || (0x61...0x66).contains(byte | 0x20) }
}

extension String {
    /// Replaces `%2e` in a "." or ".." segment.
    fileprivate var replacingEncodedDots: String {
        switch self {
        case "%2e": "."
        case ".%2e", "%2e.", "%2e%2e": ".."
        default: self
        }
    }
}
