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
        if let encoding = head.headers.first(name: "transfer-encoding"), encoding.lowercased() != "chunked" {
            throw HTTPError(.notImplemented, "the transfer encoding of the request is not known here; use chunked")
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

    /// The target as path and query, from whichever form it came in (RFC 9112, section 3.2).
    private static func originForm(_ target: String, _ method: HTTPMethod) throws(HTTPError) -> String {
        if target.utf8.first == UInt8(ascii: "/") { return target }
        if target == "*", method == .OPTIONS { return target }
        for scheme in ["http://", "https://"] where target.lowercased().hasPrefix(scheme) {
            let rest = target.dropFirst(scheme.count)
            guard let start = rest.firstIndex(where: { $0 == "/" || $0 == "?" }) else { return "/" }
            let path = rest[start...]
            return path.first == "?" ? "/" + path : String(path)
        }
        throw HTTPError(.badRequest, "the target of the request is not valid; it starts with a slash")
    }
}

#endif
