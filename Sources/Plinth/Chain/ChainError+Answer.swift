// SPDX-License-Identifier: Apache-2.0

extension ChainError {
    /// The response to an unhandled error: the error's own, or a 500 without details.
    ///
    /// Logs an error without its own response. If the client has disconnected, the request is cancelled and errors are
    /// expected: the error is logged at debug level, and the response, which is never sent, has status 499.
    func answer(to request: Request) -> Response {
        if let known = cause as? any ResponseError { return known.response }
        log(request.logger)
        return Task.isCancelled ? Response(status: .clientClosedRequest) : HTTPError(.internalServerError).response
    }

    /// The status to log for the error.
    var status: HTTPResponse.Status {
        if let known = cause as? any ResponseError { return known.response.status }
        return Task.isCancelled ? .clientClosedRequest : .internalServerError
    }

    private func log(_ logger: Logger) {
        if Task.isCancelled {
            logger.debug(
                "client disconnected before the response",
                metadata: ["request-id": "\(requestID)", "error": "\(cause)"]
            )
        } else {
            logger.error(
                "interceptor failed",
                metadata: [
                    "interceptor": "\(interceptor)", "stage": "\(stage.rawValue)", "request-id": "\(requestID)",
                    "error": "\(cause)", "suppressed": "\(suppressed)",
                ]
            )
        }
    }
}

extension HTTPResponse.Status {
    /// 499, which nginx logs if the client closes the connection before the response.
    ///
    /// It is never sent.
    static let clientClosedRequest = HTTPResponse.Status(code: 499, reasonPhrase: "Client Closed Request")
}
