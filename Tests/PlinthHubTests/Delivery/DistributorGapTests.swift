// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import Testing

@testable import PlinthHub

@Suite("Delivery gaps")
struct DistributorGapTests {
    @Test("A subscriber receives a gap, then what history still holds")
    func trimmed() async throws {
        var delivery = try await Delivery(total: HistoryLimits(events: 3))
        let slot = delivery.add(try exact("a"))
        delivery.sink.room[slot] = 8
        for number in 1...10 { try delivery.publish(event("\(number)", "a")) }
        delivery.isWritable(slot)
        let gap = "event: gap\ndata: {\"requested\":\"1-1\",\"oldest\":\"1-8\",\"through\":\"1-7\"}\nid: 1-7\n\n"
        #expect(delivery.sink.take(slot).text == sent("1", 1) + gap + sent("8", 8) + sent("9", 9) + sent("10", 10))
        #expect(delivery.distributor.tally.gaps == 1)
    }

    @Test("An unknown ID is reported as a gap, even if nothing is held")
    func unknown() async throws {
        var delivery = try await Delivery(options: StreamOptions(gapType: "lost"))
        let start = LocatedStart(position: nil, unknown: eventID("0-7"))
        let first = delivery.add(try exact("a"), from: start)
        #expect(
            delivery.sink.take(first).text
                == "event: lost\ndata: {\"requested\":\"0-7\",\"oldest\":null,\"through\":null}\nid: 1-0\n\n"
        )
        try delivery.publish(event("1", "a"))
        #expect(delivery.sink.take(first).text == sent("1", 1))
        let second = delivery.add(try exact("a"), from: start)
        #expect(
            delivery.sink.take(second).text
                == "event: lost\ndata: {\"requested\":\"0-7\",\"oldest\":\"1-1\",\"through\":null}\nid: 1-0\n\n"
                + sent("1", 1)
        )
    }

    @Test("A gap that did not fit is delivered whole and once", arguments: [0, 1, 40, 75, 90])
    func gapInPieces(room: Int) async throws {
        var delivery = try await Delivery()
        try delivery.publish(event("1", "a"))
        let start = LocatedStart(position: nil, unknown: eventID("0-7"))
        let slot = delivery.distributor.add(Selection([try exact("a")]), start, Delivery.bare, now: delivery.now)
        delivery.sink.room[slot] = room
        delivery.proceed()
        #expect(delivery.distributor.states[slot].phase == .blocked)
        delivery.isWritable(slot)
        #expect(
            delivery.sink.take(slot).text
                == "event: gap\ndata: {\"requested\":\"0-7\",\"oldest\":\"1-1\",\"through\":null}\nid: 1-0\n\n"
                + sent("1", 1)
        )
    }

    @Test("If gaps close streams, a stream that lags is ended", arguments: [true, false])
    func closing(isUnknown: Bool) async throws {
        var delivery = try await Delivery(
            options: StreamOptions(gapPolicy: .close),
            total: HistoryLimits(events: 2)
        )
        for number in 1...5 { try delivery.publish(event("\(number)", "a")) }
        let start = isUnknown ? LocatedStart(position: nil, unknown: eventID("x")) : LocatedStart(position: Position(1))
        let slot = delivery.add(try exact("a"), from: start, form: Delivery.chunked)
        #expect(delivery.sink.take(slot).text == Delivery.chunkedFarewell)
        #expect(delivery.takeEnded() == ["\(slot) lagged"])
        #expect(delivery.distributor.tally.gaps == 1)
        // A stream from the earliest event, or from one that is held, is not ended.
        let other = delivery.add(try exact("a"), from: LocatedStart(position: nil))
        let third = delivery.add(try exact("a"), from: LocatedStart(position: Position(3)))
        #expect(delivery.sink.take(other).text == sent("4", 4) + sent("5", 5))
        #expect(delivery.sink.take(third).text == sent("4", 4) + sent("5", 5))
        #expect(delivery.takeEnded() == [])
    }

    @Test("If gaps close streams, a stream from the oldest event receives gaps until it has caught up")
    func closingFromEarliest() async throws {
        var delivery = try await Delivery(
            options: StreamOptions(gapPolicy: .close),
            total: HistoryLimits(events: 2)
        )
        for number in 1...2 { try delivery.publish(event("\(number)", "a")) }
        let slot = delivery.distributor.add(
            Selection([try exact("a")]),
            LocatedStart(position: nil),
            Delivery.bare,
            now: delivery.now
        )
        delivery.sink.room[slot] = sent("1", 1).utf8.count
        delivery.proceed()
        #expect(delivery.sink.take(slot).text == sent("1", 1))
        for number in 3...5 { try delivery.publish(event("\(number)", "a")) }
        delivery.isWritable(slot)
        #expect(
            delivery.sink.take(slot).text
                == "event: gap\ndata: {\"requested\":\"1-1\",\"oldest\":\"1-4\",\"through\":\"1-3\"}\nid: 1-3\n\n"
                + sent("4", 4) + sent("5", 5)
        )
        #expect(delivery.takeEnded() == [])
        // From now on a gap ends it.
        delivery.sink.room[slot] = 0
        for number in 6...9 { try delivery.publish(event("\(number)", "a")) }
        delivery.isWritable(slot)
        #expect(delivery.takeEnded() == ["\(slot) lagged"])
    }
}
