// SPDX-License-Identifier: Apache-2.0

extension ChainError {
    /// The response that stands for an error that nothing else handled: its own, or a 500 without details.
    ///
    /// An error without a response of its own is logged. Where the request has been cancelled, because its client has left,
    /// an error is the consequence: it is logged at level debug, and the response, which is never sent, has status 499.
    func answer(to request: Request) -> Response {
        if let known = cause as? any ResponseError { return known.response }
        log(request.logger)
        return Task.isCancelled ? Response(status: .clientClosedRequest) : HTTPError(.internalServerError).response
    }

    /// The status that logs show for the error.
    var status: HTTPResponse.Status {
        if let known = cause as? any ResponseError { return known.response.status }
        return Task.isCancelled ? .clientClosedRequest : .internalServerError
    }

    private func log(_ logger: Logger) {
        if Task.isCancelled {
            logger.debug(
                "the client left before it was answered",
                metadata: ["request-id": "\(requestID)", "error": "\(cause)"]
            )
        } else {
            logger.error(
                "an interceptor failed",
                metadata: [
                    "interceptor": "\(interceptor)", "stage": "\(stage.rawValue)", "request-id": "\(requestID)",
                    "error": "\(cause)", "suppressed": "\(suppressed)",
                ]
            )
        }
    }
}

extension HTTPResponse.Status {
    /// 499, as nginx logs a request whose client closed the connection before it had an answer.
    ///
    /// It is never sent.
    static let clientClosedRequest = HTTPResponse.Status(code: 499, reasonPhrase: "Client Closed Request")
}
