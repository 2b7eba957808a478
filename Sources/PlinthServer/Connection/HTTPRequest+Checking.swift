// SPDX-License-Identifier: Apache-2.0

#if Server

import HTTPTypes
import NIOHTTP1
import NIOHTTPTypesHTTP1
import Plinth

extension HTTPRequest {
    /// The request of a head that the parser accepted, if it also keeps the rules that parsers leave to servers.
    init(checking head: HTTPRequestHead, secure: Bool) throws(HTTPError) {
        let hosts = head.headers[canonicalForm: "host"]
        if hosts.count > 1 { throw HTTPError(.badRequest, "the request has \(hosts.count) Host fields; send one") }
        // RFC 9112, section 3.2: a server must refuse an HTTP/1.1 request without it.
        if head.version == .http1_1, hosts.isEmpty {
            throw HTTPError(.badRequest, "the request has no Host field; HTTP/1.1 requires it")
        }
        if head.headers.contains(name: "content-length"), head.headers.contains(name: "transfer-encoding") {
            // RFC 9112, section 6.1: a sign of request smuggling.
            throw HTTPError(.badRequest, "the request has both Content-Length and Transfer-Encoding; send one")
        }
        let encodings = head.headers["transfer-encoding"]
        if !encodings.isEmpty {
            // RFC 9112, section 6.1: its framing is faulty, since HTTP/1.0 has no such thing.
            if head.version == .http1_0 { throw HTTPError(.badRequest, "HTTP/1.0 has no Transfer-Encoding") }
            guard encodings.count == 1, encodings[0].lowercased() == "chunked" else {
                throw HTTPError(.notImplemented, "the transfer encoding of the request is not known here; use chunked")
            }
        }
        var request: HTTPRequest
        do {
            request = try HTTPRequest(head, secure: secure, splitCookie: false)
        } catch {
            throw HTTPError(.badRequest, "the request line is not valid: \(error)")
        }
        request.path = try HTTPRequest.originForm(head.uri, head.method)
        self = request
    }

    /// The length of the body that a head announces, nil if it announces none.
    ///
    /// What is above the limit is refused before it is read.
    static func bodyLength(_ head: HTTPRequestHead, limit: Int) throws(HTTPError) -> Int? {
        let lengths = head.headers["content-length"]
        guard let text = lengths.first else { return nil }
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        guard lengths.count == 1, !text.isEmpty, text.utf8.allSatisfy({ digits.contains($0) }) else {
            throw HTTPError(.badRequest, "the Content-Length of the request is not a number")
        }
        // Digits that do not fit are too many bytes as well.
        guard let length = Int(text), length <= limit else { throw .contentTooLarge(limit: limit) }
        return length
    }

    /// The target as path and query, from whichever form it came in (RFC 9112, section 3.2).
    private static func originForm(_ target: String, _ method: HTTPMethod) throws(HTTPError) -> String {
        // Bytes, not characters: a slash and a combining accent are one character.
        guard target.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f }) else {
            throw HTTPError(.badRequest, "the target holds spaces or control characters; percent-encode them")
        }
        if target.utf8.first == UInt8(ascii: "/") { return target }
        if target == "*", method == .OPTIONS { return target }
        for scheme in ["http://", "https://"] where target.lowercased().hasPrefix(scheme) {
            let rest = target.dropFirst(scheme.count)
            guard let start = rest.utf8.firstIndex(where: { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") })
            else { return "/" }
            let path = rest[start...]
            return path.utf8.first == UInt8(ascii: "?") ? "/" + path : String(path)
        }
        throw HTTPError(.badRequest, "the target of the request is not valid; it starts with a slash")
    }
}

#endif
