// SPDX-License-Identifier: Apache-2.0

import Foundation
import PlinthEvents
import PlinthTestSupport
import Testing

@testable import PlinthHub

@Suite("Delivery of the ends of topics")
struct DistributorEndTests {
    @Test("A stream of several topics goes on if one of them was opened again")
    func openedAgain() async throws {
        var delivery = try await Delivery()
        let slot = delivery.add(try exact("a"), try exact("b"))
        func end(_ name: String) throws {
            _ = try delivery.memory.appendNow(AppendRequest([], ending: topic(name)))
            delivery.deliver()
        }
        try end("a")
        _ = try await delivery.memory.purge(topic("a"))
        try end("b")
        #expect(delivery.takeEnded() == [])
        try end("a")
        #expect(delivery.takeEnded() == ["\(slot) topics-ended"])
        #expect(delivery.sink.take(slot).text.components(separatedBy: "event: end").count == 4)
    }

    @Test("A stream with a pattern remembers no ends")
    func patternRemembersNothing() async throws {
        var delivery = try await Delivery()
        _ = delivery.add(.all)
        _ = delivery.add(try exact("a"), try pattern("b/*"))
        for number in 0..<100 {
            _ = try delivery.memory.appendNow(AppendRequest([], ending: topic("b/\(number)")))
            delivery.deliver()
        }
        #expect(delivery.distributor.receivedEnds.isEmpty)
    }

    @Test("Ends that a client does not take wait as a list, not as bytes")
    func manyEnds() async throws {
        var delivery = try await Delivery()
        let names = (0..<3000).map { "topic/\($0)" }
        for name in names { _ = try delivery.memory.appendNow(AppendRequest([], ending: topic(name))) }
        delivery.deliver()
        let selection = Selection(try names.map { try exact($0) })
        let start = try #require(delivery.memory.locateNow(StartQuery(live: delivery.distributor.head), selection))
        let slot = delivery.distributor.add(selection, start, Delivery.bare, now: delivery.now)
        delivery.sink.room[slot] = 30
        delivery.proceed()
        #expect(delivery.distributor.pendingEnds[slot]?.count == 2999)
        #expect(delivery.distributor.details[slot].rest.count < 100)
        var text = delivery.sink.take(slot).text
        delivery.isWritable(slot)
        let rest = delivery.sink.take(slot)
        text += rest.text
        #expect(rest.writes > 2)
        #expect(text.components(separatedBy: "event: end\ndata: {\"topic\":\"topic/").count == 3001)
        #expect(Set(text.components(separatedBy: "\n\n")).count == 3001)
        #expect(delivery.takeEnded() == ["\(slot) topics-ended"])
    }

    @Test(
        "The end of a topic is the last event of its subscribers, at once and after a stall",
        arguments: [nil, 0, 5, 40]
    )
    func topicEnds(room: Int?) async throws {
        var delivery = try await Delivery()
        let slot = delivery.add(try exact("a"))
        let other = delivery.add(try exact("a"), try exact("b"), form: StreamForm(isChunked: false, namesTopic: true))
        delivery.sink.room[slot] = room
        _ = try delivery.memory.appendNow(AppendRequest([event("1", "a")], ending: topic("a")))
        delivery.deliver()
        let end = "event: end\ndata: {\"topic\":\"a\"}\nid: 1-2"
        var text = delivery.sink.take(slot).text
        if room != nil {
            #expect(delivery.takeEnded() == [])
            delivery.isWritable(slot)
            text += delivery.sink.take(slot).text
        }
        #expect(text == sent("1", 1) + end + "\n\n")
        #expect(delivery.takeEnded() == ["\(slot) topics-ended"])
        // The stream of two topics continues until both have ended.
        #expect(delivery.sink.take(other).text == "data: 1\nid: 1-1\ta\n\n\(end)\ta\n\n")
        _ = try delivery.memory.appendNow(AppendRequest([], ending: topic("b")))
        delivery.deliver()
        #expect(delivery.sink.take(other).text == "event: end\ndata: {\"topic\":\"b\"}\nid: 1-3\tb\n\n")
        #expect(delivery.takeEnded() == ["\(other) topics-ended"])
        #expect(delivery.distributor.receivedEnds.isEmpty)
    }

    @Test("A live stream is told the ends of before, in one piece however little fits", arguments: [nil, 0, 1, 30, 60])
    func endedBefore(room: Int?) async throws {
        var delivery = try await Delivery()
        for name in ["a", "b"] { _ = try delivery.memory.appendNow(AppendRequest([], ending: topic(name))) }
        delivery.deliver()
        func start(_ selection: Selection) -> LocatedStart? {
            delivery.memory.locateNow(StartQuery(live: delivery.distributor.head), selection)
        }
        let one = try #require(start(Selection([try exact("a")])))
        let slot = delivery.distributor.add(Selection([try exact("a")]), one, Delivery.chunked, now: delivery.now)
        delivery.sink.room[slot] = room
        delivery.proceed()
        var text = delivery.sink.take(slot).text
        if room != nil {
            delivery.isWritable(slot)
            text += delivery.sink.take(slot).text
        }
        let event = "event: end\ndata: {\"topic\":\"a\"}\nid: 1-2\n\n"
        #expect(text == "\(String(event.utf8.count, radix: 16))\r\n\(event)\r\n0\r\n\r\n")
        #expect(delivery.takeEnded() == ["\(slot) topics-ended"])
        // The stream continues, since one of its topics has not ended.
        let selection = Selection([try exact("a"), try exact("b"), try exact("c")])
        let located = try #require(start(selection))
        let several = delivery.distributor.add(selection, located, Delivery.bare, now: delivery.now)
        delivery.proceed()
        #expect(delivery.sink.take(several).text.components(separatedBy: "event: end").count == 3)
        try delivery.publish(NewEvent(ServerSentEvent(data: "1"), topics: [topic("c")]))
        #expect(delivery.sink.take(several).text == sent("1", 3))
        #expect(delivery.takeEnded() == [])
        #expect(delivery.distributor.pendingEnds.isEmpty)
    }
}
