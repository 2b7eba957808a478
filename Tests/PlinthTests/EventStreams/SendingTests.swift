// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthTesting
import Testing

/// A channel with a transport that pulls on demand.
private func channel(_ options: EventStreamOptions = .init(heartbeat: .off)) -> (EventChannel, Wakes) {
    let stream = EventStream(options: options) { _ in }
    let wakes = Wakes()
    stream.channel.attach(wakes, preamble: [], metrics: nil, now: .seconds(0))
    return (stream.channel, wakes)
}

@Suite("Sending", .timeLimit(.minutes(1)))
struct SendingTests {
    @Test("Events, texts and values are sent in order")
    func values() async throws {
        struct Point: Encodable { var x: Int, label: String }
        let chain = Chain.stream { events in
            #expect(await events.send(.init(type: "t", data: "a\nb", id: "1")))
            #expect(await events.send("text"))
            #expect(try await events.send(Point(x: 1, label: "two\nlines")))
            #expect(try await events.send([1, 2], type: "list", id: "2"))
            #expect(events.offer("offered") == .accepted)
            #expect(events.offer(.init(type: "o", data: "")) == .accepted)
            try await events.sendOrThrow("thrown")
            try await events.sendOrThrow(["json"])
            await #expect(throws: ServerSentEventError.self) { try await events.send(1, type: "a\nb") }
        }
        let stream = try await chain.eventStream(for: .get("/"))
        try await stream.expectEvent(.init(type: "t", data: "a\nb", id: "1"))
        try await stream.expectEvent(data: "text")
        let value = try #require(try await stream.next())
        #expect(value.data.contains("\"x\":1") && value.data.contains(#""two\nlines""#))
        #expect(!value.data.contains("\n"))
        try await stream.expectEvent(.init(type: "list", data: "[1,2]", id: "2"))
        try await stream.expectEvent(data: "offered")
        try await stream.expectEvent(type: "o", data: "")
        try await stream.expectEvent(data: "thrown")
        try await stream.expectEvent(data: #"["json"]"#)
        try await stream.expectEnd(.applicationClosed)
        #expect(stream.lastEventID == "2")
    }

    @Test("An offer is accepted, full or closed, and never waits")
    func offers() {
        let (events, _) = channel(.init(buffer: .bounded(2)))
        #expect(events.offer("1") == .accepted)
        #expect(events.offer("2") == .accepted)
        #expect(events.offer("3") == .full)
        #expect(events.pullAll().text == "data: 1\n\ndata: 2\n\n")
        #expect(events.offer("4") == .accepted)
        events.close()
        #expect(events.offer("5") == .closed)
        #expect(events.pullAll() == ("data: 4\n\n", .end(.applicationClosed)))
        #expect(events.offer("6") == .closed)
    }

    @Test("Sending on a closed channel returns false, or throws its reason")
    func afterClose() async throws {
        let (events, _) = channel()
        events.close()
        events.close(after: .init(data: "too late"))
        #expect(await events.send("a") == false)
        #expect(try await events.send(1) == false)
        #expect(events.comment("a") == false)
        #expect(events.heartbeat() == false)
        #expect(events.isClosed)
        #expect(events.disconnectReason == .applicationClosed)
        let failure = await #expect(throws: EventChannelClosed.self) { try await events.sendOrThrow("a") }
        #expect(failure?.reason == .applicationClosed)
        #expect(events.pullAll() == ("", .end(.applicationClosed)))
    }

    @Test("Events sent before there is a connection are buffered until there is one")
    func beforeAttach() async {
        let stream = EventStream { _ in }
        let events = stream.channel
        let wakes = Wakes()
        #expect(await events.send("1"))
        #expect(events.comment(" c"))
        events.close(after: .init(data: "2"))
        events.attach(wakes, preamble: Array(":\n".utf8), metrics: nil, now: .seconds(0))
        #expect(wakes.taken == 1)
        #expect(events.pullAll() == (":\n: c\ndata: 1\n\ndata: 2\n\n", .end(.applicationClosed)))
    }

    @Test("Comments are sent before buffered events")
    func comments() {
        let (events, _) = channel()
        events.offer("1")
        #expect(events.comment(" note\nof two lines"))
        events.offer("2")
        #expect(events.comment(""))
        #expect(events.pullAll().text == ": note\n:of two lines\n:\ndata: 1\n\ndata: 2\n\n")
    }

    @Test("Pending comments are bounded at 16 KiB")
    func commentBound() {
        let (events, wakes) = channel()
        let comment = String(repeating: "c", count: 1022)  // 1,024 bytes with colon and line feed
        for _ in 0..<16 { #expect(events.comment(comment)) }
        #expect(!events.comment(""))
        #expect(!events.heartbeat())
        #expect(events.offer("an event is not a comment") == .accepted)
        #expect(wakes.taken == 1)
        #expect(events.pullAll().text.utf8.count > 16 * 1024)
        #expect(events.comment(comment))
        #expect(!events.comment(String(repeating: "c", count: 16 * 1024)))
    }

    @Test("Closing with a last event sends it after all others, even if the buffer is full")
    func closeAfter() async {
        let (events, _) = channel(.init(buffer: .bounded(2)))
        events.offer("1")
        events.offer("2")
        async let refused = events.send("never")
        await parked(events, 1)
        events.close(after: .init(data: "last"))
        #expect(await refused == false)
        #expect(events.pullAll(limit: 1) == ("data: 1\n\ndata: 2\n\ndata: last\n\n", .end(.applicationClosed)))
    }

    @Test("A transport that waits for socket room is woken when the client lags")
    func lagIsHeard() {
        let (events, wakes) = channel(.init(heartbeat: .off, buffer: .disconnect(2)))
        events.offer("1")
        events.offer("2")
        #expect(wakes.taken == 1)
        var bytes: [UInt8] = []
        #expect(events.pull(into: &bytes, limit: 1, now: .seconds(0)) == .bytes(more: true))
        // The socket is now full.
        #expect(events.offer("3") == .accepted)
        #expect(wakes.taken == 0)
        #expect(events.offer("4") == .closed)
        #expect(wakes.taken == 1)
        #expect(events.pullAll() == ("", .end(.lagged)))
    }

    @Test("A pull exceeds its byte limit by at most one event")
    func pullLimit() {
        let (events, _) = channel()
        for n in 0..<5 { events.offer("\(n)") }
        var bytes: [UInt8] = []
        #expect(events.pull(into: &bytes, limit: 10, now: .seconds(0)) == .bytes(more: true))
        #expect(String(decoding: bytes, as: UTF8.self) == "data: 0\n\ndata: 1\n\n")
        bytes = []
        #expect(events.pull(into: &bytes, limit: 27, now: .seconds(0)) == .bytes(more: false))
        #expect(events.pull(into: &bytes, limit: 27, now: .seconds(0)) == .idle)
    }

    // MARK: - Waiting

    @Test("Senders wait while the buffer is full, and resume in FIFO order")
    func fifo() async {
        let (events, _) = channel(.init(buffer: .bounded(2)))
        events.offer("a")
        events.offer("b")
        let order = Journal<Int>()
        await withTaskGroup(of: Void.self) { group in
            for n in 0..<20 {
                group.addTask {
                    #expect(await events.send("\(n)"))
                    order.note(n)
                }
                await parked(events, n + 1)
            }
            #expect(events.offer("an offer does not overtake") == .full)
            // Each pull makes room for two.
            var text = ""
            for waiting in stride(from: 18, through: 0, by: -2) {
                var bytes: [UInt8] = []
                _ = events.pull(into: &bytes, limit: 11, now: .seconds(0))
                text += String(decoding: bytes, as: UTF8.self)
                #expect(events.waitingSenders == waiting)
            }
            text += events.pullAll().text
            #expect(text == "data: a\n\ndata: b\n\n" + (0..<20).map { "data: \($0)\n\n" }.joined())
        }
        #expect(Set(order.entries) == Set(0..<20))
    }

    enum Release: CaseIterable { case close, disconnect, drain, abandon }

    @Test("Waiting senders get false when the stream ends", arguments: Release.allCases)
    func released(by release: Release) async {
        let stream = EventStream(options: .init(buffer: .bounded(1))) { _ in }
        let events = stream.channel
        let wakes = Wakes()
        if release != .abandon { events.attach(wakes, preamble: [], metrics: nil, now: .seconds(0)) }
        events.offer("1")
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<5 { group.addTask { await events.send("2") } }
            await parked(events, 5)
            switch release {
            case .close: events.close()
            case .disconnect: events.disconnect(.clientClosed)
            case .drain: events.end(.serverDraining)
            case .abandon: stream.abandon(.clientClosed)
            }
            for await accepted in group { #expect(!accepted) }
        }
        #expect(events.waitingSenders == 0)
    }

    @Test("A sender cancelled while it waits gets false, and its event is not sent")
    func cancelledWhileWaiting() async {
        let (events, _) = channel(.init(buffer: .bounded(1)))
        events.offer("1")
        let first = Task { await events.send("2") }
        await parked(events, 1)
        let second = Task { await events.send("3") }
        await parked(events, 2)
        first.cancel()
        #expect(await first.value == false)
        #expect(events.waitingSenders == 1)
        #expect(events.pullAll().text == "data: 1\n\ndata: 3\n\n")
        #expect(await second.value)
        second.cancel()
        #expect(await events.send("4"))
    }

    @Test("A cancelled task sends if there is room; instead of waiting it gets false")
    func cancelledBefore() async {
        let (events, _) = channel(.init(buffer: .bounded(1)))
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await [events.send("1"), events.send("2")]
        }
        #expect(await task.value == [true, false])
        #expect(events.waitingSenders == 0)
        #expect(events.pullAll().text == "data: 1\n\n")
    }

    @Test("Cancellation of a sender is distinguishable from a closed channel")
    func cancelledSendOrThrow() async {
        let (events, _) = channel(.init(buffer: .bounded(1)))
        events.offer("1")
        let task = Task { try await events.sendOrThrow("2") }
        await parked(events, 1)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test(
        "When cancellation, room and the end race, every sender returns, and only accepted events are sent"
    )
    func races() async {
        for round in 0..<200 {
            let (events, _) = channel(.init(buffer: .bounded(1)))
            let tasks = (0..<8).map { n in Task { await events.send("\(n)") ? n : nil } }
            let pulling = Task.detached {
                var bytes: [UInt8] = []
                while true {
                    if case .end = events.pull(into: &bytes, limit: 1, now: .seconds(0)) { return bytes }
                    await Task.yield()
                }
            }
            for task in tasks.prefix(4) { task.cancel() }
            if round.isMultiple(of: 2) { await Task.yield() }
            if round.isMultiple(of: 3) { events.close() }
            var accepted: Set<Int> = []
            if !round.isMultiple(of: 3) {
                for task in tasks { if let n = await task.value { accepted.insert(n) } }
                events.close()
            }
            for task in tasks { if let n = await task.value { accepted.insert(n) } }
            let bytes = await pulling.value
            let sent = Outcome(bytes).events.compactMap { Int($0.data) }
            #expect(Set(sent) == accepted)
            #expect(sent.count == accepted.count)
        }
    }

    @Test("Concurrent senders lose no events, and each sender's order is kept")
    func concurrent() async throws {
        let senders = 32
        let each = 200
        let chain = Chain.stream { events in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for sender in 0..<senders {
                    group.addTask {
                        for n in 0..<each {
                            let event = try ServerSentEvent(type: "s\(sender)", data: "\(n)")
                            #expect(await events.send(event))
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
        let stream = try await chain.eventStream(for: .get("/"))
        try await stream.expectReturn()
        var next: [String: Int] = [:]
        for event in stream.receivedEvents {
            let type = try #require(event.type)
            #expect(event.data == "\(next[type, default: 0])")
            next[type, default: 0] += 1
        }
        #expect(next.count == senders)
        #expect(next.values.allSatisfy { $0 == each })
    }
}

/// The events parsed from bytes.
private struct Outcome {
    var events: [ServerSentEvent] = []

    init(_ bytes: [UInt8]) {
        var parser = ServerSentEventParser()
        try? parser.parse(bytes) { events.append($0) }
    }
}
