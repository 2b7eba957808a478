// SPDX-License-Identifier: Apache-2.0

extension Interceptor {
    /// Logs one line a request, when the stages are done.
    ///
    /// Its metadata: `method`, `route` (the pattern; `-` if none matched), `status`, `duration-ms`, `request-id`,
    /// `remote-address`. Neither the path nor the query is logged, since both may hold secrets. For an event stream the
    /// line comes when its head is due, not when it ends. Status 499 means that the client left before it was answered.
    ///
    /// It is the first of a chain, so that it sees the response that the others leave. Errors are logged where they are
    /// turned into responses, not here.
    ///
    /// - Parameter level: `info` unless given.
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
        guard request.logger.logLevel <= level else { return }
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

/// When the stages of a request began.
private enum RequestStart: ValueKey {
    typealias Value = ContinuousClock.Instant
}
