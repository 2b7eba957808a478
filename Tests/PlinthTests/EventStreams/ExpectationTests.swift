// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthTesting
import Testing

@Suite("Event stream expectations", .timeLimit(.minutes(1)))
struct ExpectationTests {
    @Test("An expectation times out with an error that states what was expected and received")
    func nothingComes() async throws {
        let chain = Chain.stream(lifetime: .open) { await $0.send("a") }
        let stream = try await chain.eventStream(for: .get("/"), timeout: .milliseconds(1))
        try await stream.expectReturn()
        try await stream.expectEvent(data: "a")
        let failure = await #expect(throws: EventStreamExpectationError.self) {
            try await stream.expectEvent(type: "b", data: "c")
        }
        let description = try #require(failure?.description)
        #expect(description.contains("ExpectationTests.swift"))
        #expect(description.contains(#"expected an event of type "b" with data "c""#))
        #expect(description.contains("nothing arrived"))
        #expect(description.contains(#"comment "", ServerSentEvent(data: "a")"#))
        await #expect(throws: EventStreamExpectationError.self) { try await stream.expectComment() }
        await #expect(throws: EventStreamExpectationError.self) { try await stream.expectEnd() }
        await #expect(throws: EventStreamExpectationError.self) { try await stream.next() }
    }

    @Test("An expectation fails when anything else arrives")
    func somethingElse() async throws {
        func stream() async throws -> TestEventStream {
            let chain = Chain.stream { await $0.send(.init(type: "t", data: "d")) }
            return try await chain.eventStream(for: .get("/"))
        }
        for expectation: @Sendable (TestEventStream) async throws -> Void in [
            { try await $0.expectEvent(data: "d") },
            { try await $0.expectEvent(type: "t", data: "e") },
            { try await $0.expectEvent(.init(type: "t", data: "d", id: "1")) },
            { try await $0.expectComment("else") },
            { try await $0.expectRetry(.seconds(1)) },
            { try await $0.expectEnd() },
        ] {
            let stream = try await stream()
            await #expect(throws: EventStreamExpectationError.self) { try await expectation(stream) }
        }
        let ended = try await stream()
        _ = try await ended.next()
        #expect(try await ended.next() == nil)
        #expect(try await ended.nextPart() == .end(.applicationClosed))
        await #expect(throws: EventStreamExpectationError.self) { try await ended.expectEvent() }
        await #expect(throws: EventStreamExpectationError.self) { try await ended.expectEnd(.clientClosed) }
        try await ended.expectEnd(.applicationClosed)
    }

    @Test("A response that is not an event stream throws with its status")
    func notAStream() async throws {
        let chain = Chain([.handler("text") { _ in .text("hello", status: .accepted) }])
        let failure = await #expect(throws: NotAnEventStream.self) { try await chain.eventStream(for: .get("/")) }
        #expect(failure?.status == .accepted)
        #expect(failure?.description.contains("202") == true)
        #expect(failure?.body == "hello")
    }

    @Test("A missing response throws, and the request is cancelled")
    func noHead() async throws {
        let clock = ManualClock()
        let cancelled = Gate()
        let chain = Chain([
            .handler("slow") { _ in
                do { try await clock.sleep(for: .seconds(1)) } catch { cancelled.open() }
                return .text("late")
            }
        ])
        await #expect(throws: TestTimeout.self) {
            try await chain.eventStream(for: .get("/"), timeout: .milliseconds(1))
        }
        await cancelled.wait()
    }

    @Test("The client disconnects when the test releases the stream")
    func dropped() async throws {
        let told = Journal<StreamEnd>()
        let chain = Chain.stream(lifetime: .open, onDisconnect: { told.note($0) }) { _ in }
        do {
            let stream = try await chain.eventStream(for: .get("/"))
            try await stream.expectComment()
        }
        await told.wait(for: 1)
        #expect(told.entries == [.clientClosed])
    }
}

@Suite("Manual clock", .timeLimit(.minutes(1)))
struct ManualClockTests {
    @Test("Advancing wakes only the sleepers whose deadline has come")
    func advance() async throws {
        let clock = ManualClock()
        let woken = Journal<Int>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for n in 1...3 {
                group.addTask {
                    try await clock.sleep(for: .seconds(n))
                    woken.note(n)
                }
            }
            try await clock.waitForSleepers(3)
            clock.advance(by: .milliseconds(999))
            #expect(clock.sleeperCount == 3)
            clock.advance(by: .milliseconds(1))
            await woken.wait(for: 1)
            #expect(woken.entries == [1])
            #expect(clock.sleeperCount == 2)
            clock.advance(by: .seconds(5))
            try await group.waitForAll()
        }
        #expect(Set(woken.entries) == [1, 2, 3])
        #expect(clock.now == ManualClock.Instant(offset: .seconds(6)))
        try await clock.sleep(until: ManualClock.Instant(offset: .seconds(6)))
        clock.advance(by: .seconds(-1))
        #expect(clock.now.offset == .seconds(6))
    }

    @Test("A sleeper cancelled before or during its sleep throws")
    func cancelled() async throws {
        let clock = ManualClock()
        let sleeping = Task { try await clock.sleep(for: .seconds(1)) }
        try await clock.waitForSleepers()
        sleeping.cancel()
        await #expect(throws: CancellationError.self) { try await sleeping.value }
        let late = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try await clock.sleep(for: .seconds(1))
        }
        await #expect(throws: CancellationError.self) { try await late.value }
        #expect(clock.sleeperCount == 0)
    }

    @Test("Waiting for sleepers throws on timeout")
    func tooFew() async {
        let clock = ManualClock()
        await #expect(throws: TestTimeout.self) { try await clock.waitForSleepers(timeout: .milliseconds(1)) }
    }
}
