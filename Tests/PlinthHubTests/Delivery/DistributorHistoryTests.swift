// SPDX-License-Identifier: Apache-2.0

import Foundation
import PlinthEvents
import PlinthTestSupport
import Testing

@testable import PlinthHub

@Suite("Delivery with a history that answers later")
struct DistributorHistoryTests {
    @Test("A read is requested once, and its result counts only for its subscriber")
    func later() async throws {
        var delivery = try await Delivery(isLate: true)
        try delivery.publish(event("1", "a"), event("2", "a"))
        let slot = delivery.add(try exact("a"), from: LocatedStart(position: nil))
        let request = try #require(delivery.distributor.requests.first)
        #expect(delivery.distributor.requests.count == 1)
        #expect(delivery.distributor.isAwaited(request))
        // Events published meanwhile are not lost.
        try delivery.publish(event("3", "a"))
        #expect(delivery.sink.take(slot).text == "")
        func answer(_ request: Distributor.ReadRequest) throws -> HistoryAnswer {
            let limit = ReadLimit(events: 2)
            let batch = delivery.memory.readNow(after: request.position, selection: request.selection, limit: limit)
            return .batch(try #require(batch))
        }
        delivery.distributor.didRead(request, try answer(request), delivery.sink, now: delivery.now)
        #expect(delivery.sink.take(slot).text == sent("1", 1) + sent("2", 2))
        let second = try #require(delivery.distributor.requests.last)
        #expect(second.position == Position(2))
        delivery.distributor.remove(slot, .clientClosed)
        #expect(!delivery.distributor.isAwaited(second))
        // Another subscriber has the slot now.
        let again = delivery.add(try exact("a"), from: LocatedStart(position: Position(0)))
        #expect(again == slot)
        #expect(!delivery.distributor.isAwaited(second))
        delivery.distributor.didRead(second, try answer(second), delivery.sink, now: delivery.now)
        #expect(delivery.sink.take(slot).text == "")
        let third = try #require(delivery.distributor.requests.last)
        delivery.distributor.didRead(third, nil, delivery.sink, now: delivery.now)
        #expect(delivery.takeEnded() == ["\(slot) client-closed"])
    }

    @Test("A history that fails is asked again every second, with heartbeats meanwhile")
    func asksAgain() async throws {
        var delivery = try await Delivery(options: StreamOptions(heartbeat: .milliseconds(700)), isLate: true)
        try delivery.append(event("1", "a"))
        let slot = delivery.add(try exact("a"), from: LocatedStart(position: nil))
        for _ in 0..<5 {
            let request = try #require(delivery.distributor.requests.last)
            delivery.distributor.requests = []
            delivery.distributor.didRead(request, nil, delivery.sink, now: delivery.now)
            #expect(delivery.distributor.unfinished.isEmpty)
            delivery.advance(by: .milliseconds(900))
            #expect(delivery.sink.take(slot).text == ":\n")
            delivery.advance(by: .milliseconds(200))
            delivery.proceed()
        }
        let request = try #require(delivery.distributor.requests.last)
        let batch = delivery.memory.readNow(after: nil, selection: request.selection, limit: ReadLimit())
        delivery.distributor.didRead(request, .batch(try #require(batch)), delivery.sink, now: delivery.now)
        #expect(delivery.sink.take(slot).text.hasSuffix(sent("1", 1)))
        #expect(delivery.takeEnded() == [])
    }

    @Test("A history that does not answer ends the stream after its timeout", arguments: [true, false])
    func answersNever(fails: Bool) async throws {
        var options = StreamOptions(heartbeat: nil)
        options.historyTimeout = .seconds(3)
        var delivery = try await Delivery(options: options, isLate: true)
        let slot = delivery.add(try exact("a"), from: LocatedStart(position: nil))
        for _ in 0..<4 {
            if fails, let request = delivery.distributor.requests.last {
                delivery.distributor.requests = []
                delivery.distributor.didRead(request, nil, delivery.sink, now: delivery.now)
            }
            #expect(delivery.distributor.ended.isEmpty)
            delivery.advance(by: .milliseconds(1010))
            delivery.proceed()
        }
        #expect(delivery.sink.take(slot).text == Delivery.bareFarewell)
        #expect(delivery.takeEnded() == ["\(slot) history-failed"])
    }

    @Test("Only the answer to the latest question is taken, however often a heartbeat did not fit meanwhile")
    func latestAnswer() async throws {
        var delivery = try await Delivery(options: StreamOptions(heartbeat: .seconds(1)), isLate: true)
        for number in 1...3 { try delivery.append(event("\(number)", "a")) }
        let slot = delivery.add(try exact("a"), from: LocatedStart(position: nil))
        func batch(_ request: Distributor.ReadRequest) throws -> HistoryAnswer {
            let limit = ReadLimit(events: 2)
            let batch = delivery.memory.readNow(after: request.position, selection: request.selection, limit: limit)
            return .batch(try #require(batch))
        }
        let first = try #require(delivery.distributor.requests.last)
        delivery.sink.room[slot] = 1
        delivery.advance(by: .milliseconds(1100))
        #expect(!delivery.distributor.isAwaited(first))
        delivery.isWritable(slot)
        let second = try #require(delivery.distributor.requests.last)
        #expect(second.number != first.number)
        delivery.distributor.didRead(first, try batch(first), delivery.sink, now: delivery.now)
        #expect(delivery.sink.take(slot).text == ":\n")
        delivery.distributor.didRead(second, try batch(second), delivery.sink, now: delivery.now)
        #expect(delivery.sink.take(slot).text == sent("1", 1) + sent("2", 2))
        delivery.distributor.didRead(second, try batch(second), delivery.sink, now: delivery.now)
        delivery.distributor.didRead(first, try batch(first), delivery.sink, now: delivery.now)
        #expect(delivery.sink.take(slot).text == "")
    }

    @Test("While a client does not read, history owes no answer")
    func blockedMeanwhile() async throws {
        var options = StreamOptions(heartbeat: .seconds(1), writeTimeout: nil)
        options.historyTimeout = .seconds(5)
        var delivery = try await Delivery(options: options, isLate: true)
        try delivery.append(event("1", "a"))
        let slot = delivery.add(try exact("a"), from: LocatedStart(position: nil))
        delivery.sink.room[slot] = 1
        delivery.advance(by: .milliseconds(1100))
        delivery.advance(by: .seconds(60))
        delivery.isWritable(slot)
        delivery.advance(by: .seconds(4))
        #expect(delivery.takeEnded() == [])
        let request = try #require(delivery.distributor.requests.last)
        #expect(delivery.distributor.isAwaited(request))
        delivery.advance(by: .seconds(2))
        #expect(delivery.takeEnded() == ["\(slot) history-failed"])
    }
}
