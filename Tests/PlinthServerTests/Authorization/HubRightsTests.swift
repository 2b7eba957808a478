// SPDX-License-Identifier: Apache-2.0

#if Server

import Foundation
import Plinth
import PlinthHub
import PlinthTesting
import Testing

@testable import PlinthServer

/// What a grant decides, at every endpoint.
@Suite("Hub endpoints: rights")
struct HubRightsTests {
    private let a: TopicSelector
    private let own: TopicSelector

    init() throws {
        a = .exact(try Topic("a"))
        own = .pattern(try TopicPattern("own/*"))
    }

    private func hub(_ anonymous: HubGrant = HubGrant()) async throws -> AuthorizedHub {
        let hub = try await AuthorizedHub(anonymous: anonymous)
        hub.token("reader", "reader", subscribe: [a, own])
        hub.token("writer", "writer", publish: [a, own])
        hub.token("operator", "operator", operates: true)
        hub.token("nobody", "nobody")
        return hub
    }

    @Test("Each operation needs its right: 401 without a credential, 403 with one, and no more than that")
    func matrix() async throws {
        let hub = try await hub()
        let json: HTTPFields = [.contentType: "application/json"]
        let form: HTTPFields = [.contentType: "application/x-www-form-urlencoded"]
        let operations: [(HTTPRequest.Method, String, HTTPFields, String, Set<String>)] = [
            (.post, "/topics/a", [:], "x", ["writer"]),
            (.post, "/topics?topic=a&topic=own/1", [:], "x", ["writer"]),
            (.post, "/topics/own/2", [.contentType: "text/event-stream"], "data: x\n\n", ["writer"]),
            (.post, "/topics/own/3?end", [:], "", ["writer"]),
            (.get, "/topics/a?wait=0", [:], "", ["reader"]),
            (.get, "/topics?match=**&wait=0", [:], "", ["reader"]),
            (.post, "/topics?wait=0", form, "topic=a&match=other/*", ["reader"]),
            (.head, "/topics/a", [:], "", ["reader"]),
            (.head, "/topics?topic=a&match=b/*", [:], "", ["reader"]),
            (.put, "/topics/a", json, #"{"events":5}"#, ["operator"]),
            (.delete, "/topics/zzz", [:], "", ["operator"]),
            (.get, "/status", [:], "", ["operator"]),
            (.delete, "/subjects/somebody", [:], "", ["operator"]),
        ]
        for (method, target, headers, body, allowed) in operations {
            for token in ["reader", "writer", "operator", "nobody", nil] {
                let response = try await hub.response(method, target, token, headers, body: body)
                let what = "\(method) \(target) by \(token ?? "nobody known"): \(response.body)"
                if let token, allowed.contains(token) {
                    #expect(response.status.kind == .successful, "\(what)")
                } else if token == nil {
                    #expect(response.status == .unauthorized, "\(what)")
                    #expect(response.headers[.wwwAuthenticate]?.hasPrefix("Bearer") ?? false, "\(what)")
                } else {
                    #expect(response.status == .forbidden, "\(what)")
                }
                #expect(response.headers[.cacheControl]?.hasPrefix("no-store") ?? false, "\(what)")
                #expect(response.headers[.vary] == "Origin, Cookie, Authorization", "\(what)")
            }
        }
    }

    @Test("A foreign topic refuses the whole request, and is named; of many, the first 20")
    func foreignTopics() async throws {
        let hub = try await hub()
        let one = try await hub.response(.get, "/topics?topic=a&topic=secret", "reader")
        #expect(one.status == .forbidden)
        #expect(one.body.contains("secret") && one.body.contains(#""code":"forbidden""#))
        #expect(!one.body.contains(#"\"a\""#))
        let many = (0..<25).map { "topic=t\($0)" }.joined(separator: "&")
        let response = try await hub.response(.get, "/topics?\(many)", "reader")
        #expect(response.body.contains("t19") && !response.body.contains("t20") && response.body.contains("5 more"))
        let publish = try await hub.response(.post, "/topics?topic=a&topic=secret", "writer", body: "x")
        #expect(publish.status == .forbidden)
        #expect(try await hub.hub.status().published == 0)
    }

    @Test("A stream of everything carries what is granted: live, replayed, ends, and the visible topic's name")
    func visible() async throws {
        let hub = try await hub()
        let secret = try Topic("secret")
        let before = hub.hub.mark()
        for topic in ["secret", "a", "own/7", "own/7/deep"] {
            try await hub.hub.publish(ServerSentEvent(data: topic), to: try Topic(topic))
        }
        try await hub.hub.end(secret)
        let live = try await hub.stream("/topics?match=**", "reader")
        let replay = try await hub.stream("/topics?match=**&last-event-id=\(before)", "reader")
        // Several topics in one event: the first that may be seen is named.
        let topics = [try Topic("other"), try Topic("own/8")]
        _ = try await hub.hub.publish([NewEvent(ServerSentEvent(data: "several"), topics: topics)])
        try await hub.hub.publish(ServerSentEvent(data: "last"), to: try Topic("a"))
        func next(_ stream: TestEventStream) async throws -> [String] {
            var seen: [String] = []
            while let event = try await stream.next() {
                seen.append("\(event.data) \(event.id?.split(separator: "\t").last ?? "")")
                if event.data == "last" { break }
            }
            return seen
        }
        #expect(try await next(live) == ["several own/8", "last a"])
        #expect(try await next(replay) == ["a a", "own/7 own/7", "several own/8", "last a"])
        live.leave()
        replay.leave()
    }

    @Test("Whoever may only publish learns nothing about the topic")
    func publisherOnly() async throws {
        let hub = try await hub()
        let first: HTTPFields = [.producerID: "p", .producerEpoch: "0", .producerSequence: "0"]
        #expect(try await hub.response(.post, "/topics/a", "writer", first, body: "x").status == .created)
        let state = try await hub.response(.head, "/topics/a", "writer", [.producerID: "p"])
        #expect(state.status == .ok)
        #expect(state.headers[.producerSequence] == "0")
        #expect(state.headers[.lastEventID] == nil)
        // Another subject's producer of the same name is another one.
        let others = try await hub.response(.head, "/topics/a", "reader", [.producerID: "p"])
        #expect(others.headers[.producerSequence] == nil)
        #expect(try await hub.response(.post, "/topics/a?end", "writer").status == .created)
        let ended = try await hub.response(.post, "/topics/a", "writer", body: "x")
        #expect(ended.status == .conflict)
        #expect(ended.headers[.lastEventID] == nil)
        #expect(!ended.body.contains(#""id""#))
        let head = try await hub.response(.head, "/topics/a", "writer", [.producerID: "p"])
        #expect(head.headers[.topicEnded] == nil)
    }

    @Test("An anonymous publisher may, if it is said so; but numbers and keys need a subject")
    func anonymous() async throws {
        let hub = try await hub(HubGrant(publish: [.all]))
        #expect(try await hub.response(.post, "/topics/x", nil, body: "x").status == .created)
        #expect(try await hub.response(.get, "/topics/x?wait=0", nil).status == .unauthorized)
        let numbers: HTTPFields = [.producerID: "p", .producerEpoch: "0", .producerSequence: "0"]
        for headers in [numbers, [.idempotencyKey: "k"]] {
            let response = try await hub.response(.post, "/topics/x", nil, headers, body: "x")
            #expect(response.status == .badRequest)
            #expect(response.body.contains(#""code":"bad-field""#))
        }
    }

    @Test("Without an authorizer everybody may use numbers and keys, as before")
    func withoutAuthorizer() async throws {
        let routes = try Routes(HubEndpoints(HubService(try await Hub())).routes())
        let chain = Chain([.hubErrorResponses(), .queryParameters(), routes.router])
        let response = try await chain.response(
            for: .post("/topics/x", headers: [.idempotencyKey: "k"], body: "x")
        )
        #expect(response.status == .created)
        #expect(response.headers[.vary] == nil)
    }

    @Test("A grant's end ends its stream, its upload and its long-poll; what was done stays")
    func expiry() async throws {
        let hub = try await AuthorizedHub()
        hub.token("short", "short", publish: [a], subscribe: [a], lasts: 30)
        let stream = try await hub.stream("/topics/a", "short")
        stream.advance(by: .seconds(29))
        try await hub.hub.publish(ServerSentEvent(data: "in time"), to: try Topic("a"))
        #expect(try await stream.next()?.data == "in time")
        stream.advance(by: .seconds(2))
        try await stream.expectEnd(.expired)
        hub.clock.advance(by: 31)
        let late = try await hub.response(.post, "/topics/a", "short", body: "x")
        #expect(late.status == .unauthorized)
        #expect(late.body.contains(#""code":"token-expired""#))
    }

    @Test("Bytes are counted as they are announced, at most those of an event, or as they came")
    func byteRate() async throws {
        let hub = try await AuthorizedHub(limits: HubLimits(bytesPerSecond: 1000))
        for name in ["one", "two", "three"] { hub.token(name, HubSubject(name), publish: [a]) }
        let body = String(repeating: "x", count: 800)
        #expect(try await hub.response(.post, "/topics/a", "one", body: body).status == .created)
        let second = try await hub.response(.post, "/topics/a", "one", body: body)
        #expect(second.status == .tooManyRequests)
        #expect(second.headers[.retryAfter] != nil)
        // Others have rates of their own.
        #expect(try await hub.response(.post, "/topics/a", "two", body: body).status == .created)
        let chunked: HTTPFields = [.transferEncoding: "chunked"]
        #expect(try await hub.response(.post, "/topics/a", "three", chunked, body: body).status == .created)
        #expect(try await hub.response(.post, "/topics/a", "three", chunked, body: body).status == .tooManyRequests)
    }

    @Test("A credential in a form that nobody takes is 401, never anonymous")
    func malformed() async throws {
        let hub = try await hub(HubGrant(publish: [.all], subscribe: [.all]))
        for value in ["Basic eDp5", "Bearer", "Bearer  ", "Bearer a b", "reader", ""] {
            let response = try await hub.chain.response(
                for: .post("/topics/a", headers: [.authorization: value], body: "x")
            )
            #expect(response.status == .unauthorized, "\(value)")
            #expect(response.body.contains(#""code":"token-malformed""#), "\(value)")
        }
    }
}

#endif
