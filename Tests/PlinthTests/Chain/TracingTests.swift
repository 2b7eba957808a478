// SPDX-License-Identifier: Apache-2.0

import InMemoryTracing
import Plinth
import PlinthTesting
import Testing
import Tracing

@Suite("Tracing")
struct TracingTests {
    private func span(of request: Request, _ chain: Chain) async throws -> FinishedInMemorySpan {
        let tracer = InMemoryTracer()
        await withTracer(tracer) { _ = await chain.unsentResponse(for: request) }
        return try #require(tracer.popFinishedSpans().first)
    }

    @Test("A request has a span named after its route, without the query")
    func span() async throws {
        let routes = try Routes { Route.get("/users/:id") { _ in .text("") } }
        let span = try await span(of: .get("/users/7?token=secret"), Chain([routes.router]))
        #expect(span.operationName == "GET /users/:id")
        #expect(span.kind == .server)
        #expect(span.attributes.get("http.route")?.toSpanAttribute() == .string("/users/:id"))
        #expect(span.attributes.get("url.path")?.toSpanAttribute() == .string("/users/7"))
        #expect(span.attributes.get("http.response.status_code")?.toSpanAttribute() == .int64(200))
    }

    @Test("An error marks the span, even if it became a response")
    func failure() async throws {
        struct Oops: Error {}
        let chain = Chain([.errorResponses(), .handler("h") { _ in throw Oops() }])
        let span = try await span(of: .get("/"), chain)
        #expect(span.operationName == "GET")
        #expect(span.status?.code == .error)
        #expect(span.errors.count == 1)
    }

    @Test("Stages run in the span's context")
    func context() async throws {
        let chain = Chain([.handler("h") { _ in .text(InstrumentationContext.current == nil ? "none" : "some") }])
        let body = try await withTracer(InMemoryTracer()) { try await chain.response(for: .get("/")).body }
        #expect(body == "some")
    }

    @Test("A span continues the trace of the request's headers")
    func propagation() async throws {
        let request = Request.get(
            "/",
            headers: [
                try #require(.init(InMemoryTracer.traceIDKey)): "t1",
                try #require(.init(InMemoryTracer.spanIDKey)): "s1",
            ]
        )
        let span = try await span(of: request, Chain([]))
        #expect(span.traceID == "t1")
        #expect(span.parentSpanID == "s1")
        #expect(span.status == nil)
    }
}
