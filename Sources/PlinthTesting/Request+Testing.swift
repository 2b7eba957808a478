// SPDX-License-Identifier: Apache-2.0

public import Plinth

extension Request {
    /// A request made up for a test.
    ///
    /// - Parameters:
    ///   - method: The method.
    ///   - target: Path and query as they are sent, percent-encoded.
    ///   - headers: The header fields; none unless given.
    ///   - body: The body; empty unless given. No `Content-Type` is added; `Content-Length` is, as clients do, unless
    ///     the headers say something of the length, or the method is one that has no body and there is none.
    ///   - isSecure: Whether to look like a request over TLS; not unless given.
    ///   - logger: Where the chain logs; nowhere unless given.
    /// - Returns: The request.
    public static func make(
        _ method: HTTPRequest.Method,
        _ target: String,
        headers: HTTPFields = [:],
        body: [UInt8] = [],
        isSecure: Bool = false,
        logger: Logger = Logger(label: "plinth.test") { _ in SwiftLogNoOpLogHandler() }
    ) -> Request {
        var headers = headers
        let saysLength = headers[.contentLength] != nil || headers[.transferEncoding] != nil
        if !saysLength, !body.isEmpty || [.post, .put, .patch].contains(method) {
            headers[.contentLength] = "\(body.count)"
        }
        return Request(
            head: HTTPRequest(
                method: method,
                scheme: isSecure ? "https" : "http",
                authority: "localhost",
                path: target,
                headerFields: headers
            ),
            body: RequestBody(bytes: body),
            isSecure: isSecure,
            logger: logger
        )
    }

    /// A `GET` of a path and query, percent-encoded.
    public static func get(_ target: String, headers: HTTPFields = [:]) -> Request {
        make(.get, target, headers: headers)
    }

    /// A `HEAD` of a path and query, percent-encoded.
    public static func head(_ target: String, headers: HTTPFields = [:]) -> Request {
        make(.head, target, headers: headers)
    }

    /// An `OPTIONS` of a path and query, percent-encoded.
    public static func options(_ target: String, headers: HTTPFields = [:]) -> Request {
        make(.options, target, headers: headers)
    }

    /// A `DELETE` of a path and query, percent-encoded.
    public static func delete(_ target: String, headers: HTTPFields = [:]) -> Request {
        make(.delete, target, headers: headers)
    }

    /// A `POST` to a path and query, percent-encoded, with a body in UTF-8 and no `Content-Type` of its own.
    public static func post(_ target: String, headers: HTTPFields = [:], body: String = "") -> Request {
        make(.post, target, headers: headers, body: Array(body.utf8))
    }

    /// A `PUT` to a path and query, percent-encoded, with a body in UTF-8 and no `Content-Type` of its own.
    public static func put(_ target: String, headers: HTTPFields = [:], body: String = "") -> Request {
        make(.put, target, headers: headers, body: Array(body.utf8))
    }

    /// A `PATCH` of a path and query, percent-encoded, with a body in UTF-8 and no `Content-Type` of its own.
    public static func patch(_ target: String, headers: HTTPFields = [:], body: String = "") -> Request {
        make(.patch, target, headers: headers, body: Array(body.utf8))
    }
}
