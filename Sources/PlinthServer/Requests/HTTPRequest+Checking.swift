// SPDX-License-Identifier: Apache-2.0

#if Server

import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPTypesHTTP1
import Plinth

extension HTTPRequest {
    /// Creates the request of a parsed head; throws if it breaks a rule that the parser does not check.
    init(checking head: HTTPRequestHead, _ fields: FramingFields, secure: Bool) throws(HTTPError) {
        let host = fields.host
        if host.count > 1 { throw HTTPError(.badRequest, "the request has \(host.count) Host fields; send one") }
        if let host = host.first {
            try HTTPAuthority.check(host[...], in: "the Host field")
        } else if head.version == .http1_1 {
            // RFC 9112, section 3.2: a server must refuse an HTTP/1.1 request without it.
            throw HTTPError(.badRequest, "the request has no Host field; HTTP/1.1 requires it")
        }
        if fields.contentLength.count > 0, fields.transferEncoding.count > 0 {
            // RFC 9112, section 6.1: a sign of request smuggling.
            throw HTTPError(.badRequest, "the request has both Content-Length and Transfer-Encoding; send one")
        }
        if let encoding = fields.transferEncoding.first {
            // RFC 9112, section 6.1: its framing is faulty, since HTTP/1.0 has no such thing.
            if head.version == .http1_0 { throw HTTPError(.badRequest, "HTTP/1.0 has no Transfer-Encoding") }
            guard fields.transferEncoding.count == 1, encoding.lowercased() == "chunked" else {
                throw HTTPError(.notImplemented, "the transfer encoding of the request is not known here; use chunked")
            }
        }
        let method: HTTPRequest.Method
        do {
            method = try HTTPRequest.Method(head.method)
        } catch {
            throw HTTPError(.badRequest, "the request line is not valid: \(error)")
        }
        let target = try HTTPRequest.originForm(head.uri, head.method)
        self.init(
            method: method,
            scheme: secure ? "https" : "http",
            // RFC 9112, section 3.2.2: with a target in absolute form, the Host field is ignored.
            authority: target.authority ?? host.first,
            path: target.path,
            headerFields: HTTPFields(head.headers, splitCookie: false)
        )
    }

    /// The length of the body that a head announces; nil if it announces none.
    ///
    /// A body above the limit is refused before it is read.
    static func bodyLength(_ fields: FramingFields, limit: Int) throws(HTTPError) -> Int? {
        guard let text = fields.contentLength.first else { return nil }
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        guard fields.contentLength.count == 1, !text.isEmpty, text.utf8.allSatisfy({ digits.contains($0) }) else {
            throw HTTPError(.badRequest, "the Content-Length of the request is not a number")
        }
        // Digits that do not fit are too many bytes as well.
        guard let length = Int(text), length <= limit else { throw .contentTooLarge(limit: limit) }
        return length
    }

    /// The target as path and query, from whichever form it came in, and its authority if it came in absolute form
    /// (RFC 9112, section 3.2).
    private static func originForm(
        _ target: String,
        _ method: HTTPMethod
    ) throws(HTTPError) -> (path: String, authority: String?) {
        // Bytes, not characters: a slash and a combining accent are one character.
        guard target.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f }) else {
            throw HTTPError(.badRequest, "the target holds spaces or control characters; percent-encode them")
        }
        if target.utf8.first == UInt8(ascii: "/") { return (target, nil) }
        if target == "*", method == .OPTIONS { return (target, nil) }
        for scheme in ["http://", "https://"] where target.lowercased().hasPrefix(scheme) {
            let rest = target.dropFirst(scheme.count)
            let start =
                rest.utf8.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? rest.utf8.endIndex
            let authority = rest[..<start]
            // RFC 9110, section 4.2.1: such a URI names no origin.
            if authority.isEmpty || authority.utf8.first == UInt8(ascii: ":") {
                throw HTTPError(.badRequest, "the target of the request has no host")
            }
            try HTTPAuthority.check(authority, in: "the target of the request")
            let path = rest[start...]
            let isComplete = path.utf8.first == UInt8(ascii: "/")
            return (isComplete ? String(path) : "/" + path, String(authority))
        }
        throw HTTPError(.badRequest, "the target of the request is not valid; it starts with a slash")
    }
}

/// The syntax of a host and a port (RFC 9110, section 7.2; RFC 3986, sections 3.2.2 and 3.2.3).
///
/// Strict, so that a proxy and this server cannot understand different hosts. A user name before the host is refused
/// (RFC 9110, section 4.2.4); an empty host is allowed, since a client without one must send an empty field.
enum HTTPAuthority {
    /// Throws 400 if this is not a host, or a host, a colon and a port.
    static func check(_ text: Substring, in place: String) throws(HTTPError) {
        guard isValid(text) else {
            throw HTTPError(
                .badRequest,
                "the host in \(place) is not valid; it is a name or an address, and after a colon a port if there is one"
            )
        }
    }

    static func isValid(_ text: Substring) -> Bool {
        if isPlain(text) { return true }
        var host = text
        if text.utf8.first == UInt8(ascii: "[") {
            guard let end = text.utf8.firstIndex(of: UInt8(ascii: "]")) else { return false }
            let rest = text[text.utf8.index(after: end)...]
            guard isAddress(text[..<end].dropFirst()) else { return false }
            return rest.isEmpty || (rest.utf8.first == UInt8(ascii: ":") && isPort(rest.dropFirst()))
        }
        if let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) {
            guard isPort(text[text.utf8.index(after: colon)...]) else { return false }
            host = text[..<colon]
        }
        return isName(host)
    }

    /// Whether this is a name or an IPv4 address without escapes, perhaps with a port of up to four digits, as nearly
    /// all are: found in one pass over the bytes.
    private static func isPlain(_ text: Substring) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            let host = bytes.prefix { isNameByte($0) }
            let port = bytes[host.endIndex...].dropFirst()
            return host.count == bytes.count
                || (bytes[host.endIndex] == UInt8(ascii: ":") && port.count < 5 && port.allSatisfy { isDigit($0) })
        }
    }

    /// Digits, or none at all.
    private static func isPort(_ text: Substring) -> Bool {
        text.utf8.allSatisfy { isDigit($0) } && (text.isEmpty || UInt16(text) != nil)
    }

    /// An IPv6 address, without a zone, which means something on one machine only; or one of a version to come.
    private static func isAddress(_ text: Substring) -> Bool {
        if let first = text.utf8.first, first | 0x20 == UInt8(ascii: "v") {
            let parts = text.utf8.dropFirst().split(separator: UInt8(ascii: "."), maxSplits: 1)
            return parts.count == 2 && parts[0].allSatisfy { isHexDigit($0) }
                && parts[1].allSatisfy { isNameByte($0) || $0 == UInt8(ascii: ":") }
        }
        // The system's parser stops at a NUL, which is none of these bytes.
        return text.utf8.allSatisfy { isHexDigit($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") }
            && (try? SocketAddress(ipAddress: String(text), port: 0))?.protocol == .inet6
    }

    /// A registered name, which an IPv4 address is by its syntax.
    private static func isName(_ text: Substring) -> Bool {
        var rest = text.utf8
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%") {
                guard let high = rest.popFirst(), let low = rest.popFirst(), isHexDigit(high), isHexDigit(low) else {
                    return false
                }
            } else if !isNameByte(byte) {
                return false
            }
        }
        return true
    }

    /// Unreserved characters and sub-delimiters.
    private static func isNameByte(_ byte: UInt8) -> Bool {
        if isDigit(byte) { return true }
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): return true
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "!"),
            UInt8(ascii: "$"), UInt8(ascii: "&"), UInt8(ascii: "'"), UInt8(ascii: "("), UInt8(ascii: ")"),
            UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: "="):
            return true
        default: return false
        }
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20)
    }
}

#endif
