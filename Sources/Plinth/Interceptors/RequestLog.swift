// SPDX-License-Identifier: Apache-2.0

extension Interceptor {
    /// Logs one line per request, after the stages have run.
    ///
    /// Metadata: `method`, `route` (the pattern; `-` if none matched), `status`, `duration-ms`, `request-id`,
    /// `remote-address`. Neither path nor query is logged, since both may contain secrets. An event stream is logged
    /// when its head is due, not when it ends. Status 499 means that the client disconnected before the response.
    ///
    /// Place it first in the chain, so that it sees the final response. Errors are logged where they are turned into
    /// responses, not here.
    ///
    /// - Parameter level: The log level. Default: `info`.
    /// - Returns: The interceptor.
    public static func requestLog(level: Logger.Level = .info) -> Interceptor {
        Interceptor(
            "request-log",
            enter: { $0.values[RequestStart.self] = .now },
            leave: { log($0, $0.response?.status ?? .notFound, level) },
            error: { context, error in
                log(context, error.status, level)
                throw error
            }
        )
    }

    private static func log(_ context: Context, _ status: HTTPResponse.Status, _ level: Logger.Level) {
        let request = context.request
        guard request.logLevel <= level else { return }
        var metadata: Logger.Metadata = [
            "method": "\(request.method.rawValue)",
            "route": "\(request.route?.pattern ?? "-")",
            "status": "\(status.code)",
            "request-id": "\(request.id)",
        ]
        if let start = context.values[RequestStart.self] {
            let (seconds, attoseconds) = (ContinuousClock.now - start).components
            let microseconds = seconds * 1_000_000 + attoseconds / 1_000_000_000_000
            metadata["duration-ms"] = "\(Double(microseconds) / 1_000)"
        }
        if let address = request.remoteAddress { metadata["remote-address"] = "\(address)" }
        request.logger.log(level: level, "request", metadata: metadata)
    }
}

/// The time when the first stage of a request started.
private enum RequestStart: ValueKey {
    typealias Value = ContinuousClock.Instant
}
