// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import PlinthHub

@Suite("Grants")
struct HubGrantTests {
    private func topics(_ names: String...) throws -> [Topic] { try names.map(topic) }

    private func denial(_ body: () throws -> Void) -> HubDenial? { #expect(throws: HubDenial.self) { try body() } }

    // MARK: - Publishing

    @Test("Topics within the grant may be published to, and the others are named")
    func publishing() throws {
        let grant = HubGrant(publish: [try exact("own"), try pattern("team/*")])
        try grant.permitPublishing(to: try topics("own", "team/1", "team/2"))
        try grant.permitPublishing(to: [])
        let error = denial { try grant.permitPublishing(to: try topics("own", "b", "team/1", "a", "team/1/2")) }
        #expect(error?.right == .publish)
        #expect(try error?.topics == topics("b", "a", "team/1/2"))
        #expect(error?.moreTopics == 0)
        #expect(error?.description == "there is no grant to publish to \"b\", \"a\", \"team/1/2\"")
        #expect(try grant.publishes(to: topic("team/1")) && !grant.publishes(to: topic("a")))
    }

    @Test("At most 20 topics are named, and the rest is counted", arguments: [1, 20, 21, 1000])
    func manyTopics(_ count: Int) throws {
        let wanted = try (0..<count).map { try topic("t/\($0)") }
        let grant = HubGrant(publish: [try exact("own")], subscribe: [try exact("own")])
        let errors = [
            (denial { try grant.permitPublishing(to: wanted) }, "publish to"),
            (denial { _ = try grant.selection(of: wanted.map { .exact($0) }) }, "subscribe"),
        ]
        for (error, text) in errors {
            #expect(error?.topics == Array(wanted.prefix(20)))
            #expect(error?.moreTopics == max(0, count - 20))
            let description = error?.description ?? ""
            #expect(description.hasPrefix("there is no grant to \(text) \"t/0\""))
            #expect(description.hasSuffix(count > 20 ? "\"t/19\" and \(count - 20) more" : "\"t/\(count - 1)\""))
        }
    }

    @Test("A grant of nothing permits nothing, also if nothing is named")
    func empty() throws {
        let grant = HubGrant(subject: "user")
        #expect(denial { try grant.permitPublishing(to: []) }?.description == "there is no grant to publish")
        #expect(try denial { try grant.permitPublishing(to: try topics("a")) }?.topics == topics("a"))
        for wanted in [[], [.all], [try pattern("a/*")]] as [[TopicSelector]] {
            let error = denial { _ = try grant.selection(of: wanted) }
            #expect(error?.right == .subscribe && error?.topics == [])
            #expect(error?.description == "there is no grant to subscribe")
        }
        #expect(try denial { _ = try grant.selection(of: [try exact("a"), .all]) }?.topics == topics("a"))
        #expect(denial { try grant.permitOperating() }?.description == "there is no grant to operate")
        #expect(try !grant.sees(topic("a")) && !grant.publishes(to: topic("a")))
        #expect(grant.publish.isEmpty && grant.subscribe.isEmpty && grant.restricted.isEmpty && !grant.operates)
    }

    @Test("One right includes no other")
    func separate() throws {
        let a = try topics("a")
        let publisher = HubGrant(publish: [.all])
        try publisher.permitPublishing(to: a)
        #expect(denial { _ = try publisher.selection(of: [.all]) }?.right == .subscribe)
        #expect(denial { try publisher.permitOperating() }?.right == .operate)
        let subscriber = HubGrant(subscribe: [.all])
        _ = try subscriber.selection(of: [.all])
        #expect(denial { try subscriber.permitPublishing(to: a) }?.right == .publish)
        #expect(denial { try subscriber.permitOperating() }?.right == .operate)
        let operating = HubGrant(operates: true)
        try operating.permitOperating()
        #expect(denial { try operating.permitPublishing(to: a) }?.right == .publish)
        #expect(denial { _ = try operating.selection(of: [.all]) }?.right == .subscribe)
    }

    @Test("Everything is every operation on every topic")
    func everything() throws {
        let grant = HubGrant.everything(subject: "admin", attachment: 7)
        try grant.permitPublishing(to: try topics("a", "b/c"))
        try grant.permitOperating()
        let selection = try grant.selection(of: [.all])
        #expect(try selection.wantsEverything && selection.includes(topics("a"), isRestricted: true))
        #expect(grant.subject == "admin" && grant.attachment as? Int == 7 && grant.expires == nil)
        #expect(HubGrant.everything().subject == nil)
    }

    @Test("The pattern ** grants as much as all", arguments: [TopicSelector.all, .pattern(.everything)])
    func wholePattern(_ selector: TopicSelector) throws {
        let grant = HubGrant(publish: [try exact("a"), selector], subscribe: [selector])
        try grant.permitPublishing(to: try topics("x", "y/z"))
        let selection = try grant.selection(of: [try exact("x"), try pattern("y/*")])
        #expect(try selection.includes(topics("y/z"), isRestricted: true))
        #expect(try grant.sees(topic("x")) && grant.publishes(to: topic("x")))
    }

    // MARK: - Subscribing

    @Test("Exact topics that are not visible are refused, and patterns are narrowed to what is")
    func subscribing() throws {
        let grant = HubGrant(subscribe: [try exact("own"), try pattern("team/**")])
        let selection = try grant.selection(of: [try exact("own"), try pattern("**")])
        for name in ["own", "team/1", "team/1/2"] {
            #expect(try selection.includes(topics(name), isRestricted: false), "\(name)")
        }
        for name in ["other", "team", "own/1"] {
            #expect(try !selection.includes(topics(name), isRestricted: false), "\(name)")
        }
        // One of several topics is enough.
        #expect(try selection.includes(topics("other", "own"), isRestricted: false))
        let elsewhere = try grant.selection(of: [try pattern("other/*")])
        #expect(elsewhere.wanted.isEmpty)
        let wanted = [try exact("own"), try exact("b"), try pattern("c/*"), try exact("team/1"), try exact("a")]
        #expect(try denial { _ = try grant.selection(of: wanted) }?.topics == topics("b", "a"))
        #expect(try grant.sees(topic("team/1")) && !grant.sees(topic("other")))
    }

    @Test("Restricted events need a topic of their own grant, which is that of all events by default")
    func restricted() throws {
        func received(_ grant: HubGrant) throws -> [String] {
            let selection = try grant.selection(of: [.all])
            return try ["a", "b", "c"].flatMap { name in
                try [false, true].filter { selection.includes(try topics(name), isRestricted: $0) }
                    .map { $0 ? "\(name) restricted" : name }
            }
        }
        let (a, b) = (try exact("a"), try exact("b"))
        #expect(try received(HubGrant(subscribe: [a, b])) == ["a", "a restricted", "b", "b restricted"])
        #expect(try received(HubGrant(subscribe: [a, b], restricted: [b])) == ["a", "b", "b restricted"])
        #expect(try received(HubGrant(subscribe: [a, b], restricted: [])) == ["a", "b"])
        // More than is visible adds nothing.
        #expect(try received(HubGrant(subscribe: [a], restricted: [.all])) == ["a", "a restricted"])
        #expect(try received(HubGrant(subscribe: [.all], restricted: [a])) == ["a", "a restricted", "b", "c"])
        #expect(denial { _ = try HubGrant(restricted: [.all]).selection(of: [.all]) }?.right == .subscribe)
        #expect(HubGrant(subscribe: [a]).restricted.map(\.description) == ["a"])
        #expect(HubGrant(subscribe: [a], restricted: [b]).restricted.map(\.description) == ["b"])
    }

    // MARK: - Time

    @Test("A grant ends at its expiry, and one without never does")
    func expiry() throws {
        let end = Date(timeIntervalSince1970: 1000)
        let grant = HubGrant(subscribe: [.all], expires: end)
        #expect(!grant.hasExpired(at: end.addingTimeInterval(-0.001)))
        #expect(grant.hasExpired(at: end))
        #expect(grant.hasExpired(at: end.addingTimeInterval(1)))
        #expect(!HubGrant(subscribe: [.all]).hasExpired(at: .distantFuture))
    }
}
