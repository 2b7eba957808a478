// SPDX-License-Identifier: Apache-2.0

#if JWT
import PlinthHub
import Testing

@testable import PlinthJWT

@Suite("Remembered tokens")
struct TokenCacheTests {
    private func key(_ number: Int) -> TokenCache.Key { TokenCache.Key("token \(number)") }
    private func grant(_ name: String) -> HubGrant { HubGrant(subject: HubSubject(name)) }

    @Test("A token is found by its text, and only with the keys that verified it")
    func found() {
        let cache = TokenCache(limit: 10)
        cache.insert(grant("a"), for: key(1), 0)
        #expect(cache.grant(for: key(1), 0)?.subject == "a")
        #expect(cache.grant(for: key(2), 0) == nil)
        #expect(cache.grant(for: key(1), 1) == nil)
        #expect(TokenCache.Key("a") == TokenCache.Key("a"))
        #expect(TokenCache.Key("a") != TokenCache.Key("b"))
    }

    @Test("It never holds more than its limit, and keeps what is used")
    func bounded() {
        for limit in [2, 3, 10, 101] {
            let cache = TokenCache(limit: limit)
            cache.insert(grant("kept"), for: key(-1), 0)
            for number in 0..<1000 {
                cache.insert(grant("\(number)"), for: key(number), 0)
                #expect(cache.count <= limit)
                if limit >= 10 { #expect(cache.grant(for: key(-1), 0)?.subject == "kept") }
                #expect(cache.grant(for: key(number), 0)?.subject == HubSubject("\(number)"))
            }
            #expect(cache.grant(for: key(0), 0) == nil)
        }
    }

    @Test("A limit below 2 keeps nothing", arguments: [1, 0, -1, Int.min])
    func off(limit: Int) {
        let cache = TokenCache(limit: limit)
        cache.insert(grant("a"), for: key(1), 0)
        #expect(cache.grant(for: key(1), 0) == nil)
        #expect(cache.count == 0)
    }

    @Test("A token of many topics counts as several")
    func weight() throws {
        let topics = try (0..<160).map { TopicSelector.exact(try Topic("t\($0)")) }
        let large = HubGrant(publish: topics)
        #expect(TokenCache.weight(large) == 11)
        let cache = TokenCache(limit: 40)
        for number in 0..<100 { cache.insert(large, for: key(number), 0) }
        #expect(cache.count == 2)
        // One that alone is above half the limit is not kept.
        let small = TokenCache(limit: 20)
        small.insert(large, for: key(1), 0)
        #expect(small.count == 0)
    }

    @Test("New keys forget all tokens, and a token verified with older keys is not added")
    func flush() {
        let cache = TokenCache(limit: 10)
        cache.insert(grant("a"), for: key(1), 0)
        cache.insert(grant("b"), for: key(2), 1)
        #expect(cache.count == 1)
        cache.insert(grant("c"), for: key(3), 0)
        #expect(cache.grant(for: key(3), 0) == nil)
        #expect(cache.grant(for: key(3), 1) == nil)
        #expect(cache.grant(for: key(2), 1)?.subject == "b")
    }
}
#endif
