// SPDX-License-Identifier: Apache-2.0

#if JWT
import PlinthStreams
import Testing

@testable import PlinthJWT

@Suite("When a key set is fetched")
struct KeySetStateTests {
    /// A state that expectations can change.
    private final class Machine {
        private var state = KeySetState()

        var keys: JWTKeys? { state.keys }
        func want() { state.want() }
        func begin(at now: MonotonicTime) -> Bool { state.begin(at: now) }
        func finish(_ keys: JWTKeys?, at now: MonotonicTime) -> KeySetState.Change { state.finish(keys, at: now) }
        func expire(at now: MonotonicTime) -> KeySetState.Change { state.expire(at: now) }
        func missing(at now: MonotonicTime) -> KeySetState.Missing { state.missing(at: now) }
    }

    private let first: JWTKeys
    private let second: JWTKeys

    init() throws {
        first = try JWTKeys.set(keySet(TestKey.p256().webKey("\"kid\":\"a\"")))
        second = try JWTKeys.set(keySet(TestKey.p256().webKey("\"kid\":\"a\"")))
    }

    private func at(_ seconds: Int) -> MonotonicTime { MonotonicTime(nanoseconds: 0) + .seconds(seconds) }

    /// A state whose set was fetched at 0.
    private func fetched() -> Machine {
        let state = Machine()
        #expect(state.begin(at: at(0)))
        #expect(state.finish(first, at: at(1)) == .init(hasChanged: true, hasRemoved: false))
        return state
    }

    @Test("It is fetched at once, and then every 15 minutes")
    func interval() {
        let state = fetched()
        for second in 1..<900 { #expect(!state.begin(at: at(second))) }
        #expect(state.begin(at: at(900)))
        #expect(!state.begin(at: at(2000)))
        #expect(state.finish(first, at: at(2000)) == .init())
        #expect(!state.begin(at: at(2000 - 201)))
        #expect(state.begin(at: at(2000)))
    }

    @Test("For an unknown key it is fetched, at most once in 60 s")
    func wanted() {
        let state = fetched()
        #expect(state.missing(at: at(59)) == .refuse)
        state.want()
        #expect(!state.begin(at: at(59)))
        #expect(state.missing(at: at(60)) == .wait)
        #expect(state.begin(at: at(60)))
        #expect(state.missing(at: at(60)) == .wait)
        // Those that come meanwhile wait for this fetch, and ask for no other.
        state.want()
        _ = state.finish(first, at: at(61))
        #expect(state.missing(at: at(61)) == .refuse)
        #expect(!state.begin(at: at(120)))
        #expect(state.missing(at: at(120)) == .wait)
    }

    @Test("However many ask, in an hour it is fetched 60 times")
    func bounded() {
        let state = Machine()
        var fetches = 0
        for second in 0..<3600 {
            state.want()
            if state.begin(at: at(second)) {
                fetches += 1
                _ = state.finish(second % 7 == 0 ? nil : first, at: at(second))
            }
        }
        #expect(fetches == 60)
    }

    @Test("After a failure it is fetched again 60 s later, and unknown keys are unavailable meanwhile")
    func failure() {
        let state = fetched()
        #expect(state.begin(at: at(900)))
        #expect(state.finish(nil, at: at(905)) == .init())
        #expect(state.keys != nil)
        #expect(state.missing(at: at(905)) == .unavailable)
        #expect(!state.begin(at: at(959)))
        #expect(state.begin(at: at(960)))
        _ = state.finish(first, at: at(961))
        #expect(state.missing(at: at(961)) == .refuse)
        #expect(!state.begin(at: at(1859)))
        #expect(state.begin(at: at(1860)))
    }

    @Test("Before the first set a failure leaves no keys")
    func firstFailure() {
        let state = Machine()
        #expect(state.missing(at: at(0)) == .wait)
        #expect(state.begin(at: at(0)))
        #expect(state.finish(nil, at: at(1)) == .init())
        #expect(state.keys == nil)
        #expect(state.missing(at: at(1)) == .unavailable)
        #expect(state.begin(at: at(60)))
    }

    @Test("Over failures the last set holds for 24 hours from its fetch, and then its keys are gone")
    func hold() {
        let state = fetched()
        var second = 900
        while second < 86_400 {
            #expect(state.begin(at: at(second)))
            #expect(state.finish(nil, at: at(second)) == .init())
            second += 60
        }
        #expect(state.keys != nil)
        #expect(state.expire(at: at(86_399)) == .init())
        #expect(state.begin(at: at(86_400)))
        #expect(state.finish(nil, at: at(86_400)) == .init(hasChanged: true, hasRemoved: true))
        #expect(state.keys == nil)
        #expect(state.expire(at: at(86_401)) == .init())
        #expect(state.begin(at: at(86_460)))
        #expect(state.finish(first, at: at(86_461)) == .init(hasChanged: true, hasRemoved: false))
    }

    @Test("A set that is too old is dropped without a fetch too")
    func expire() {
        let state = fetched()
        #expect(state.expire(at: at(86_400)) == .init(hasChanged: true, hasRemoved: true))
    }

    @Test("A key that is replaced under its `kid` is gone; one that is added, or an equal set, removes none")
    func changes() throws {
        let state = fetched()
        func next(_ keys: JWTKeys, _ second: Int) -> KeySetState.Change {
            #expect(state.begin(at: at(second)))
            return state.finish(keys, at: at(second))
        }
        #expect(next(second, 900) == .init(hasChanged: true, hasRemoved: true))
        #expect(next(second, 1800) == .init())
        let more = JWTKeys(keys: second.keys + [TestKey.ed25519().verifying("b")], isSet: true)
        #expect(next(more, 2700) == .init(hasChanged: true, hasRemoved: false))
        #expect(next(JWTKeys(keys: more.keys.reversed(), isSet: true), 3600) == .init())
        #expect(next(JWTKeys(keys: [], isSet: true), 4500) == .init(hasChanged: true, hasRemoved: true))
        #expect(state.keys?.keys.isEmpty == true)
    }
}
#endif
