// SPDX-License-Identifier: Apache-2.0

#if Server

import Foundation
import Plinth
import PlinthTestSupport
import PlinthTesting
import Synchronization
import Testing

@testable import PlinthHub
@testable import PlinthServer

/// The authorizer that every endpoint of a hub calls.
@Suite("Hub endpoints: authorization")
struct HubAuthorizerTests {
    /// Grants requests that name a user, at once or after a wait.
    private final class Users: HubAuthorizer {
        struct Failure: Error {}

        let isLate: Bool
        let asked = Recorder<String>()

        init(isLate: Bool) { self.isLate = isLate }

        func grantNow(for request: Request) throws -> HubGrant? { isLate ? nil : try decide(request) }

        func grant(for request: Request) async throws -> HubGrant {
            await Task.yield()
            return try decide(request)
        }

        private func decide(_ request: Request) throws -> HubGrant {
            asked.record("\(request.method) \(request.path)")
            switch request.queryParameters["user"] {
            case nil:
                let challenge: HTTPFields = [.wwwAuthenticate: "Bearer"]
                throw HTTPError(.unauthorized, "sign in first", headers: challenge)
            case "broken": throw Failure()
            case "nobody": throw HTTPError(.forbidden, "nobody may do this", code: "nobody")
            case let user?: return .everything(attachment: user)
            }
        }
    }

    private final class Attachments: HubObserver {
        let recorder = Recorder<String?>()

        func streamBegan(_ stream: HubStream) { recorder.record(stream.attachment as? String) }
        func streamEnded(_ stream: HubStream, _ end: StreamEnd) {}
    }

    private static let form: HTTPFields = [.contentType: "application/x-www-form-urlencoded"]

    private static func requests(_ user: String) -> [Request] {
        [
            .post("/topics/a?\(user)", body: "x"), .get("/topics/a?\(user)"), .get("/topics?topic=a&\(user)"),
            .post("/topics?\(user)", headers: form, body: "topic=a"), .delete("/topics/a?\(user)"),
            .get("/status?\(user)"),
        ]
    }

    private static func run(
        isLate: Bool,
        _ body: (Chain, Users, Hub, Attachments) async throws -> Void
    ) async throws {
        let attachments = Attachments()
        let hub = try await Hub(observer: attachments)
        let users = Users(isLate: isLate)
        let endpoints = HubEndpoints(HubService(hub), authorizer: users)
        let routes = try Routes(endpoints.routes())
        try await body(Chain([.hubErrorResponses(), .queryParameters(), routes.router]), users, hub, attachments)
    }

    @Test("Every endpoint refuses in JSON, with the authorizer's status, code and headers", arguments: [false, true])
    func refusals(isLate: Bool) async throws {
        try await Self.run(isLate: isLate) { chain, users, hub, _ in
            for request in Self.requests("") {
                let response = try await chain.response(for: request)
                #expect(response.status == .unauthorized, "\(request.path)")
                #expect(response.headers[.wwwAuthenticate] == "Bearer")
                #expect(response.body.contains(#"{"error":"sign in first","code":"unauthorized"}"#))
            }
            for request in Self.requests("user=nobody") {
                let response = try await chain.response(for: request)
                #expect(response.status == .forbidden, "\(request.path)")
                #expect(response.body.contains(#"{"error":"nobody may do this","code":"nobody"}"#))
            }
            for (number, request) in Self.requests("user=broken").enumerated() {
                let response = try await chain.response(for: request)
                if (1...3).contains(number) {
                    // A subscription: after any other status a browser would give up for good.
                    #expect(response.status == .ok, "\(request.path)")
                    #expect(response.body.hasPrefix("retry: "))
                } else {
                    #expect(response.status == .serviceUnavailable, "\(request.path)")
                    #expect(response.headers[.retryAfter] == "1")
                    #expect(response.body.contains(#""code":"unavailable""#))
                }
            }
            #expect(users.asked.values.count == 18)
            #expect(try await hub.status().published == 0)
            #expect(hub.subscriberCount == 0)
        }
    }

    @Test("What is granted proceeds, and streams carry the attachment", arguments: [false, true])
    func grants(isLate: Bool) async throws {
        try await Self.run(isLate: isLate) { chain, _, hub, attachments in
            for request in Self.requests("user=eve") {
                let response = try await chain.response(for: request)
                #expect(response.status.kind == .successful, "\(request.path): \(response.body)")
                response.eventStream?.leave()
            }
            #expect(try await attachments.recorder.first(3) == ["eve", "eve", "eve"])
            #expect(try await hub.status().published == 1)
        }
    }

    @Test("A request with bad syntax is refused for that, without asking")
    func syntaxFirst() async throws {
        try await Self.run(isLate: false) { chain, users, _, _ in
            for (target, status) in [("/topics/a%00", 400), ("/topics?match=a*", 400), ("/status?top=many", 400)] {
                let response = try await chain.response(for: .get(target))
                #expect(response.status.code == status, "\(target)")
            }
            #expect(users.asked.values.isEmpty)
        }
    }

    @Test("An authorizer that implements neither form refuses everything")
    func neither() async throws {
        struct Nothing: HubAuthorizer {}
        let endpoints = HubEndpoints(HubService(try await Hub()), authorizer: Nothing())
        let routes = try Routes(endpoints.routes())
        let chain = Chain([.queryParameters(), routes.router])
        let response = try await chain.response(for: .get("/status"))
        #expect(response.status == .forbidden)
        #expect(response.body.contains(#""code":"forbidden""#))
    }

    @Test("A refused request takes no permit for a stream, and its body is not read")
    func noPermit() async throws {
        try await withHub(HubService.Configuration(maximumStreams: 1), authorizer: Users(isLate: true)) { hub in
            for _ in 0..<3 {
                #expect(try await hub.request("GET", "/topics/a").status == 401)
            }
            // The body never comes: the refusal does not wait for it.
            let client = try await hub.server.client()
            try await client.send("POST /topics/a HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n")
            #expect(try await client.response().status == 401)
            let stream = try await hub.subscribe("/topics/a?user=eve")
            try await hub.post("/topics/a?user=eve", "x")
            #expect(try await stream.events(1).map(\.data) == ["x"])
            stream.raw.close()
        }
    }
}

#endif
