// SPDX-License-Identifier: Apache-2.0

import Tracing

extension Chain {
    /// Runs the stages in a span.
    ///
    /// Attributes follow OpenTelemetry's semantic conventions for HTTP servers. The query is omitted: it may contain
    /// secrets.
    func traced(by tracer: some Tracer, _ request: Request, _ run: () async -> Outcome) async -> Outcome {
        var context = InstrumentationContext.current ?? .topLevel
        tracer.extract(request.headers, into: &context, using: HeaderExtractor())
        return await tracer.withSpan(request.method.rawValue, context: context, ofKind: .server) { span in
            let outcome = await run()
            span.attributes["http.request.method"] = request.method.rawValue
            span.attributes["url.path"] = String(request.path)
            span.attributes["http.response.status_code"] = outcome.response.status.code
            if let route = outcome.request.route {
                // A route, never a path: span names must have low cardinality.
                span.operationName = "\(request.method.rawValue) \(route.pattern)"
                span.attributes["http.route"] = route.pattern
            }
            if outcome.response.status.kind == .serverError {
                if let error = outcome.lastError { span.recordError(error) }
                span.setStatus(SpanStatus(code: .error))
            }
            return outcome
        }
    }
}

/// Extracts trace context from request headers.
private struct HeaderExtractor: Extractor {
    func extract(key: String, from headers: HTTPFields) -> String? {
        HTTPField.Name(key).flatMap { headers[$0] }
    }
}
