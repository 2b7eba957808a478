// SPDX-License-Identifier: Apache-2.0

public import Plinth

extension Request {
    /// Creates a request for a test.
    ///
    /// - Parameters:
    ///   - method: The method.
    ///   - target: The percent-encoded path and query.
    ///   - headers: The header fields. Default: none.
    ///   - body: The body. Default: empty. No `Content-Type` is added. `Content-Length` is added if the body is not
    ///     empty or the method is `POST`, `PUT` or `PATCH`, unless the headers contain it or `Transfer-Encoding`.
    ///   - isSecure: Whether the request appears to come over TLS. Default: false.
    ///   - logger: The logger of the request. Default: one that discards everything.
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

    /// Creates a `GET` request for a percent-encoded path and query.
    public static func get(_ target: String, headers: HTTPFields = [:]) -> Request {
        make(.get, target, headers: headers)
    }

    /// Creates a `HEAD` request for a percent-encoded path and query.
    public static func head(_ target: String, headers: HTTPFields = [:]) -> Request {
        make(.head, target, headers: headers)
    }

    /// Creates an `OPTIONS` request for a percent-encoded path and query.
    public static func options(_ target: String, headers: HTTPFields = [:]) -> Request {
        make(.options, target, headers: headers)
    }

    /// Creates a `DELETE` request for a percent-encoded path and query.
    public static func delete(_ target: String, headers: HTTPFields = [:]) -> Request {
        make(.delete, target, headers: headers)
    }

    /// Creates a `POST` request for a percent-encoded path and query, with a UTF-8 body and no default `Content-Type`.
    public static func post(_ target: String, headers: HTTPFields = [:], body: String = "") -> Request {
        make(.post, target, headers: headers, body: Array(body.utf8))
    }

    /// Creates a `PUT` request for a percent-encoded path and query, with a UTF-8 body and no default `Content-Type`.
    public static func put(_ target: String, headers: HTTPFields = [:], body: String = "") -> Request {
        make(.put, target, headers: headers, body: Array(body.utf8))
    }

    /// Creates a `PATCH` request for a percent-encoded path and query, with a UTF-8 body and no default `Content-Type`.
    public static func patch(_ target: String, headers: HTTPFields = [:], body: String = "") -> Request {
        make(.patch, target, headers: headers, body: Array(body.utf8))
    }
}
