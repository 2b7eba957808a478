// SPDX-License-Identifier: Apache-2.0

import Foundation
import PlinthEvents
import PlinthTestSupport
import Testing

@testable import PlinthHub

@Suite("Delivery")
struct DistributorTests {
    // MARK: - Live

    @Test("A live subscriber receives the events of a round in one write, in order")
    func oneWrite() async throws {
        var delivery = try await Delivery()
        let one = delivery.add(try exact("a"))
        let other = delivery.add(try exact("b"))
        let all = delivery.add(.all)
        try delivery.publish(event("1", "a"), event("2", "b"), event("3", "a"), event("4", "c"))
        #expect(delivery.sink.take(one) == (sent("1", 1) + sent("3", 3), 1))
        #expect(delivery.sink.take(other) == (sent("2", 2), 1))
        #expect(delivery.sink.take(all) == (sent("1", 1) + sent("2", 2) + sent("3", 3) + sent("4", 4), 1))
        #expect(delivery.distributor.tally.delivered == 7)
        try delivery.publish(event("5", "b"))
        #expect(delivery.sink.take(one) == ("", 0))
        #expect(delivery.sink.take(other) == (sent("5", 5), 1))
        #expect(delivery.distributor.behind == 0)
        #expect(delivery.distributor.tally.reads == 0)
    }

    @Test("A turn does bounded history work, and subscribers that are behind continue in the next")
    func boundedTurn() async throws {
        var delivery = try await Delivery()
        for number in 0..<5000 { try delivery.append(event("x", "topic/\(number)")) }
        delivery.deliver()
        let selection = Selection([try pattern("q/*")])
        let start = LocatedStart(position: .zero)
        for _ in 0..<20 { _ = delivery.distributor.add(selection, start, Delivery.bare, now: delivery.now) }
        var turns = 0
        while !delivery.distributor.unfinished.isEmpty {
            let before = delivery.distributor.tally.reads
            delivery.distributor.proceed(delivery.sink, now: delivery.now)
            // Each subscriber examines 5,000 events, and a turn 20,000.
            #expect(delivery.distributor.tally.reads - before <= 4)
            turns += 1
        }
        #expect(turns >= 5)
        #expect(delivery.distributor.behind == 0)
    }

    @Test("An event that matches in several ways is delivered once")
    func once() async throws {
        var delivery = try await Delivery()
        let slot = delivery.add(try exact("a"), try exact("b"), try pattern("*"))
        let exact = delivery.add(try exact("a"), try exact("b"))
        try delivery.publish(event("1", "a", "b"), event("2", "b", "c"), event("3", "c"))
        #expect(delivery.sink.take(slot) == (sent("1", 1) + sent("2", 2) + sent("3", 3), 1))
        #expect(delivery.sink.take(exact) == (sent("1", 1) + sent("2", 2), 1))
    }

    @Test("Each subscriber receives the form that it asked for")
    func forms() async throws {
        var delivery = try await Delivery()
        let chunked = delivery.add(try exact("a"), form: Delivery.chunked)
        let bare = delivery.add(try exact("a"))
        let topical = delivery.add(try exact("a"), form: StreamForm(isChunked: false, namesTopic: true))
        let both = delivery.add(try exact("a"), form: StreamForm(isChunked: true, namesTopic: true))
        try delivery.publish(event("1", "a"), event("2", "a", "b"))
        #expect(delivery.sink.take(bare) == (sent("1", 1) + sent("2", 2), 1))
        #expect(delivery.sink.take(chunked) == ("11\r\n\(sent("1", 1))\r\n11\r\n\(sent("2", 2))\r\n", 1))
        #expect(delivery.sink.take(topical) == ("data: 1\nid: 1-1\ta\n\ndata: 2\nid: 1-2\ta\n\n", 1))
        #expect(delivery.sink.take(both) == ("13\r\ndata: 1\nid: 1-1\ta\n\n\r\n13\r\ndata: 2\nid: 1-2\ta\n\n\r\n", 1))
        #expect(delivery.distributor.tally.delivered == 8)
    }

    @Test("A restricted event reaches only subscribers authorized for one of its topics, live or from history")
    func restricted() async throws {
        var delivery = try await Delivery()
        let free = delivery.add(try exact("a"))
        let barred = delivery.add(try exact("a"), allowed: [])
        let allowed = delivery.add(try exact("a"), allowed: [try exact("b")])
        try delivery.publish(
            event("1", "a", isRestricted: true),
            event("2", "a"),
            event("3", "a", "b", isRestricted: true)
        )
        let late = delivery.add(try exact("a"), allowed: [], from: LocatedStart(position: nil))
        #expect(delivery.sink.take(free).text == sent("1", 1) + sent("2", 2) + sent("3", 3))
        #expect(delivery.sink.take(barred).text == sent("2", 2))
        #expect(delivery.sink.take(allowed).text == sent("2", 2) + sent("3", 3))
        #expect(delivery.sink.take(late).text == sent("2", 2))
    }

    // MARK: - Behind

    @Test("A subscriber that joins reads history first, then receives live events")
    func replay() async throws {
        var delivery = try await Delivery()
        try delivery.publish(event("1", "a"), event("2", "b"), event("3", "a"), event("4", "a"))
        let earliest = delivery.add(try exact("a"), from: LocatedStart(position: nil))
        let after = delivery.add(try exact("a"), from: LocatedStart(position: Position(2)))
        let live = delivery.add(try exact("a"))
        try delivery.publish(event("5", "a"))
        #expect(delivery.sink.take(earliest) == (sent("1", 1) + sent("3", 3) + sent("4", 4) + sent("5", 5), 2))
        #expect(delivery.sink.take(after) == (sent("3", 3) + sent("4", 4) + sent("5", 5), 2))
        #expect(delivery.sink.take(live) == (sent("5", 5), 1))
        #expect(delivery.distributor.tally.replayed == 5)
    }

    @Test("An event read from history before its delivery is not written again")
    func ahead() async throws {
        var delivery = try await Delivery()
        try delivery.append(event("1", "a"), event("2", "a"))
        let slots = [
            delivery.add(try exact("a"), from: LocatedStart(position: nil)),
            delivery.add(try exact("a"), try exact("b"), from: LocatedStart(position: nil)),
            delivery.add(try exact("a"), from: LocatedStart(position: nil), form: Delivery.chunked),
        ]
        try delivery.append(event("3", "a"))
        delivery.deliver()
        for slot in slots.prefix(2) {
            #expect(delivery.sink.take(slot) == (sent("1", 1) + sent("2", 2) + sent("3", 3), 2))
        }
        #expect(
            delivery.sink.take(slots[2]).text == ["1", "2", "3"].map { "11\r\n\(sent($0, Int($0) ?? 0))\r\n" }.joined()
        )
    }

    @Test("Many events are read in portions, and others have their turn between them")
    func portions() async throws {
        var delivery = try await Delivery()
        for number in 1...3000 { try delivery.append(event("\(number)", "a")) }
        delivery.deliver()
        let start = LocatedStart(position: nil)
        let slot = delivery.distributor.add(Selection([try exact("a")]), start, Delivery.bare, now: delivery.now)
        delivery.distributor.proceed(delivery.sink, now: delivery.now)
        #expect(delivery.distributor.unfinished == [slot])
        #expect(delivery.distributor.behind == 1)
        let other = delivery.distributor.add(Selection([try exact("a")]), start, Delivery.bare, now: delivery.now)
        // With one read per call, they take turns.
        delivery.distributor.proceed(delivery.sink, now: delivery.now, reads: 1)
        #expect(delivery.distributor.unfinished.first == other)
        delivery.proceed()
        #expect(delivery.distributor.behind == 0)
        let expected = (1...3000).map { sent("\($0)", $0) }.joined()
        #expect(delivery.sink.take(slot).text == expected)
        #expect(delivery.sink.take(other).text == expected)
    }

    // MARK: - Blocked

    @Test("A write that ends at any byte of a run loses nothing", arguments: [true, false])
    func partial(isChunked: Bool) async throws {
        let form = StreamForm(isChunked: isChunked, namesTopic: false)
        var probe = try await Delivery()
        let slot = probe.add(try exact("a"), form: form)
        try probe.publish(event("one", "a"), event("two", "a"), event("three", "a"))
        let whole = probe.sink.take(slot).text
        let last = sent("four", 4)
        let expected = whole + (isChunked ? String(last.utf8.count, radix: 16) + "\r\n" + last + "\r\n" : last)
        for room in 0..<whole.utf8.count {
            for isSeveral in [false, true] {
                var delivery = try await Delivery()
                let slot =
                    isSeveral
                    ? delivery.add(try exact("a"), try exact("b"), form: form)
                    : delivery.add(try exact("a"), form: form)
                delivery.sink.room[slot] = room
                try delivery.publish(event("one", "a"), event("two", "a"), event("three", "a"))
                #expect(delivery.distributor.states[slot].phase == .blocked, "room \(room)")
                // It waits; events published meanwhile follow later.
                try delivery.publish(event("four", "a"))
                delivery.isWritable(slot, room: 0)
                #expect(delivery.distributor.states[slot].phase == .blocked, "room \(room)")
                delivery.isWritable(slot, room: 1)
                delivery.isWritable(slot)
                #expect(delivery.distributor.states[slot].phase == .live, "room \(room)")
                let text = delivery.sink.take(slot).text
                #expect(text == expected, "room \(room)")
                #expect(delivery.distributor.tally.delivered == 4, "room \(room)")
                #expect(delivery.distributor.tally.bytes == expected.utf8.count, "room \(room)")
            }
        }
    }

    @Test("A blocked subscriber costs the rest of one event and delays no other")
    func blocked() async throws {
        var delivery = try await Delivery()
        let slow = delivery.add(try exact("a"))
        let quick = delivery.add(try exact("a"))
        delivery.sink.room[slow] = 10
        for number in 1...1000 { try delivery.publish(event("\(number)", "a")) }
        #expect(delivery.sink.take(quick).writes == 1000)
        #expect(delivery.distributor.kept(by: slow) < 100)
        #expect(delivery.distributor.behind == 1)
        delivery.isWritable(slow)
        #expect(delivery.sink.take(slow).text == (1...1000).map { sent("\($0)", $0) }.joined())
        #expect(delivery.distributor.behind == 0)
    }

    @Test("Skipped events are read from history")
    func skipping() async throws {
        var delivery = try await Delivery()
        let live = delivery.add(try exact("a"))
        let other = delivery.add(try exact("b"))
        try delivery.publish(event("1", "a"))
        delivery.sink.room[live] = .max
        #expect(delivery.sink.take(live).text == sent("1", 1))
        _ = try delivery.memory.appendNow([event("2", "a"), event("3", "b"), event("4", "a")])
        delivery.distributor.skip(to: Position(4))
        delivery.proceed()
        #expect(delivery.sink.take(live) == (sent("2", 2) + sent("4", 4), 1))
        #expect(delivery.sink.take(other) == (sent("3", 3), 1))
        #expect(delivery.distributor.behind == 0)
        // Skipping to an earlier position does nothing.
        delivery.distributor.skip(to: Position(2))
        #expect(delivery.distributor.behind == 0)
        #expect(delivery.distributor.head == Position(4))
    }

    // MARK: - Ends

    @Test("Ending a stream completes the body, at once if there is room")
    func ends() async throws {
        var delivery = try await Delivery()
        let chunked = delivery.add(try exact("a"), form: Delivery.chunked)
        let bare = delivery.add(try exact("a"))
        delivery.distributor.end(chunked, .serverDraining, delivery.sink, now: delivery.now)
        delivery.distributor.end(bare, .ended, delivery.sink, now: delivery.now)
        #expect(delivery.sink.take(chunked).text == Delivery.chunkedFarewell)
        #expect(delivery.sink.take(bare).text == Delivery.bareFarewell)
        #expect(delivery.takeEnded() == ["\(chunked) server-draining", "\(bare) ended"])
        #expect(delivery.distributor.count == 0)
        // Ending a stream again does nothing.
        delivery.distributor.end(chunked, .ended, delivery.sink, now: delivery.now)
        delivery.distributor.remove(chunked, .clientClosed)
        delivery.distributor.remove(99, .clientClosed)
        delivery.distributor.end(99, .clientClosed, delivery.sink, now: delivery.now)
        #expect(delivery.takeEnded() == [])
    }

    @Test("Ending a blocked stream completes the event under way, then the body", arguments: 0...27)
    func endsBlocked(room: Int) async throws {
        var delivery = try await Delivery()
        let slot = delivery.add(try exact("a"), form: Delivery.chunked)
        delivery.sink.room[slot] = room
        try delivery.publish(event("1", "a"), event("2", "a"))
        delivery.distributor.end(slot, .ended, delivery.sink, now: delivery.now)
        #expect(delivery.takeEnded() == [])
        // Neither events nor a second end follow.
        try delivery.publish(event("3", "a"))
        delivery.distributor.end(slot, .lagged, delivery.sink, now: delivery.now)
        for _ in 0..<80 { delivery.isWritable(slot, room: 1) }
        let events = room == 0 ? [] : room <= 23 ? [1] : [1, 2]
        let text = events.map { "11\r\n\(sent("\($0)", $0))\r\n" }.joined() + Delivery.chunkedFarewell
        #expect("11\r\n\(sent("1", 1))\r\n".utf8.count == 23)
        #expect(delivery.sink.take(slot).text == text)
        #expect(delivery.takeEnded() == ["\(slot) ended"])
    }

    @Test("A connection that fails ends its stream, whichever write fails")
    func failures() async throws {
        var delivery = try await Delivery(options: StreamOptions(heartbeat: .seconds(10)))
        let single = delivery.add(try exact("a"))
        let several = delivery.add(try exact("a"), try exact("b"))
        let idle = delivery.add(try exact("c"))
        let well = delivery.add(try exact("a"))
        for slot in [single, several, idle] { delivery.sink.failures[slot] = .writeFailed }
        try delivery.publish(event("1", "a"))
        #expect(delivery.takeEnded() == ["\(single) write-failed", "\(several) write-failed"])
        #expect(delivery.sink.take(well).text == sent("1", 1))
        for _ in 0..<11 { delivery.advance(by: .seconds(1)) }
        #expect(delivery.takeEnded() == ["\(idle) write-failed"])
        let replaying = delivery.distributor.count
        delivery.sink.failures[single] = .clientClosed
        delivery.sink.failures[several] = .clientClosed
        delivery.sink.failures[idle] = .clientClosed
        let slot = delivery.add(try exact("a"), from: LocatedStart(position: nil))
        #expect(delivery.takeEnded() == ["\(slot) client-closed"])
        #expect(delivery.distributor.count == replaying)
    }

    @Test("Slots are reused, and nothing of one subscriber reaches the next")
    func reuse() async throws {
        var delivery = try await Delivery(options: StreamOptions(writeTimeout: .seconds(5)))
        let slot = delivery.add(try exact("a"))
        delivery.sink.room[slot] = 3
        try delivery.publish(event("1", "a"))
        delivery.distributor.remove(slot, .clientClosed)
        #expect(delivery.takeEnded() == ["\(slot) client-closed"])
        delivery.sink.room[slot] = nil
        _ = delivery.sink.take(slot)
        let again = delivery.add(try exact("b"))
        #expect(again == slot)
        try delivery.publish(event("2", "a"), event("3", "b"))
        delivery.isWritable(again)
        for _ in 0..<8 { delivery.advance(by: .seconds(1)) }
        #expect(delivery.sink.take(again).text == sent("3", 3))
        #expect(delivery.takeEnded() == [])
        #expect(delivery.distributor.states.count == 1)
        for _ in 0..<1000 {
            delivery.distributor.remove(slot, .clientClosed)
            #expect(delivery.add(try exact("a")) == slot)
        }
        #expect(delivery.distributor.states.count == 1)
    }

    @Test("Subscribers are found by their selection")
    func meant() async throws {
        var delivery = try await Delivery()
        let a = delivery.add(try exact("a"))
        _ = delivery.add(try exact("b"))
        let all = delivery.add(.all)
        let wanted = try topic("a")
        #expect(delivery.distributor.slots { selection, _ in selection.wants(wanted) } == [a, all])
        delivery.distributor.remove(a, .ended)
        #expect(delivery.distributor.slots { selection, _ in selection.wants(wanted) } == [all])
    }
}

extension Distributor {
    /// The number of bytes held for a blocked subscriber.
    func kept(by slot: Int) -> Int {
        guard let details = Mirror(reflecting: self).descendant("details") as? ContiguousArray<Details> else {
            return .max
        }
        return details[slot].rest.count
    }

    /// The number of timers in its wheel.
    var timers: Int {
        guard let wheel = Mirror(reflecting: self).descendant("wheel") else { return .max }
        let items = Mirror(reflecting: wheel).descendant("buckets").map { Mirror(reflecting: $0).children }
        return items?.reduce(0) { $0 + Mirror(reflecting: $1.value).children.count } ?? .max
    }
}
