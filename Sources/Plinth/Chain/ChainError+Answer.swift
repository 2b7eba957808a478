// SPDX-License-Identifier: Apache-2.0

extension ChainError {
    /// The response that stands for an error that nobody else handled: its own, or a 500 without details.
    ///
    /// An error without a response of its own is logged, unless it is that the client has left.
    func answer(to request: Request) -> Response {
        if let known = cause as? any ResponseError { return known.response }
        log(request.logger)
        return HTTPError(.internalServerError).response
    }

    func log(_ logger: Logger) {
        if cause is CancellationError, Task.isCancelled {
            logger.debug("the client left before it was answered", metadata: ["request-id": "\(requestID)"])
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
