// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import Testing

@Suite("Events")
struct EventTests {
    @Test("Literals, interpolated data and nil need no try")
    func literals() {
        let number = 3
        let text = "x"
        let events: [ServerSentEvent] = [
            .init(data: "x"),
            .init(data: text),
            .init(type: "counter", data: "\(number)"),
            .init(type: nil, data: "x", id: nil),
            .init(type: "a", data: "b", id: "1", retry: .seconds(3)),
            ServerSentEvent(data: "x", id: ""),
            ServerSentEvent(data: "x", retry: .milliseconds(number)),
        ]
        #expect(events[2] == events[2].withID(nil))
        #expect(events.map(\.type) == [nil, nil, "counter", nil, "a", nil, nil])
        #expect(events.map(\.id) == [nil, nil, nil, nil, "1", "", nil])
        #expect(events.map(\.data) == ["x", "x", "3", "x", "b", "x", "x"])
        #expect(events.map(\.retry) == [nil, nil, nil, nil, .seconds(3), nil, .milliseconds(3)])
    }

    @Test("The throwing initializer builds an event from run-time strings")
    func variables() throws {
        let type = "a"
        let id: String? = "1"
        let interval: Duration? = .seconds(1)
        let event = try ServerSentEvent(type: type, data: "b", id: id, retry: interval)
        #expect(event == ServerSentEvent(type: "a", data: "b", id: "1", retry: .seconds(1)))
        #expect(try ServerSentEvent(type: "a", data: "b", id: id) == ServerSentEvent(type: "a", data: "b", id: "1"))
        #expect(try ServerSentEvent(data: "b", id: "\(7)") == ServerSentEvent(data: "b", id: "7"))
        let nothing: String? = nil
        #expect(try ServerSentEvent(type: nothing, data: "b", id: nothing) == ServerSentEvent(data: "b"))
    }

    @Test("Validated parts need no try")
    func checked() throws {
        let type = try ServerSentEvent.EventType("a\(1)")
        let id = try ServerSentEvent.ID("b\(1)")
        let event = ServerSentEvent(type: type, data: "c", id: id)
        #expect(event.type == "a1")
        #expect(event.id == "b1")
        #expect(event.withID("2").id == "2")
        #expect(event.withID("2").type == "a1")
    }

    static let breaks: [(text: String, code: ServerSentEventError.Code, offset: Int)] = [
        ("\n", .invalidType, 0), ("a\nb", .invalidType, 1), ("a\r", .invalidType, 1), ("a\r\nb", .invalidType, 1),
        ("\u{e9}\rx", .invalidType, 2), ("0123456789abcdef\n", .invalidType, 16), ("a\nevent: b", .invalidType, 1),
        ("", .invalidType, 0),
    ]

    @Test("A type that would break out of its field is rejected", arguments: breaks)
    func type(_ text: String, _ code: ServerSentEventError.Code, _ offset: Int) {
        let error = #expect(throws: ServerSentEventError.self) { try ServerSentEvent(type: text, data: "x") }
        #expect(error?.code == code)
        #expect(error?.byteOffset == (text.isEmpty ? nil : offset))
        #expect(throws: ServerSentEventError.self) { try ServerSentEvent.EventType(text) }
    }

    @Test(
        "An ID that would break out of its field or be ignored is rejected",
        arguments: [
            ("\n", 0), ("1\n", 1), ("1\rdata: x", 1), ("1\r\n", 1), ("1\0", 1), ("\0", 0), ("0123456789\0abc", 10),
        ]
    )
    func id(_ text: String, _ offset: Int) {
        let error = #expect(throws: ServerSentEventError.self) { try ServerSentEvent(data: "x", id: text) }
        #expect(error?.code == .invalidID)
        #expect(error?.byteOffset == offset)
    }

    @Test("A type and an ID may contain any other character")
    func anyOther() throws {
        let text = " \t\u{0B}\u{0C}\u{85}\u{2028}:é漢🎉 "
        let event = try ServerSentEvent(type: text + "\0", data: "", id: text)
        #expect(event.type == text + "\0")
        #expect(event.id == text)
    }

    @Test(
        "A reconnection time that is not a whole number of milliseconds from 0 to 2^53 − 1 is rejected",
        arguments: [
            .milliseconds(-1), .microseconds(1), .microseconds(1500), .nanoseconds(1), .seconds(-5),
            .milliseconds(9_007_199_254_740_992), .seconds(Int64.max), .seconds(Int64.min),
            Duration(secondsComponent: 0, attosecondsComponent: 1),
        ]
    )
    func retry(_ time: Duration) {
        let error = #expect(throws: ServerSentEventError.self) {
            try ServerSentEvent(type: nil as String?, data: "x", retry: time)
        }
        #expect(error?.code == .invalidRetry)
        #expect(throws: ServerSentEventError.self) { try EventStreamBlock.retry(time) }
    }

    @Test("Reconnection times at the limits are valid", arguments: [0, 1, 999, 1000, 9_007_199_254_740_991] as [Int64])
    func retryLimits(_ milliseconds: Int64) throws {
        let time: Duration = .milliseconds(milliseconds)
        #expect(try ServerSentEvent(type: nil as String?, data: "x", retry: time).retry == time)
    }

    @Test("An error message states the fault, its position and the remedy")
    func messages() {
        // Not literals, which would trap.
        let (wrongID, wrongType) = ("12\0", "a\r")
        let error = #expect(throws: ServerSentEventError.self) { try ServerSentEvent.ID(wrongID) }
        #expect(
            error?.description
                == "invalidID: The event ID has a NUL at byte 2, for which clients ignore the whole ID; remove it."
        )
        let type = #expect(throws: ServerSentEventError.self) { try ServerSentEvent.EventType(wrongType) }
        #expect(
            type?.message
                == "The event type has a carriage return (CR) at byte 1, which would end its field; remove it."
        )
    }

    @Test("Events compare by bytes: canonically equivalent strings differ")
    func bytes() throws {
        let composed = "\u{e9}"
        let decomposed = "e\u{301}"
        #expect(composed == decomposed)
        #expect(ServerSentEvent(data: composed) != ServerSentEvent(data: decomposed))
        #expect(try ServerSentEvent.ID(composed) != ServerSentEvent.ID(decomposed))
        #expect(try ServerSentEvent.EventType(composed) != ServerSentEvent.EventType(decomposed))
        #expect(Set([ServerSentEvent(data: composed), ServerSentEvent(data: decomposed)]).count == 2)
        #expect(Set([ServerSentEvent(data: composed), ServerSentEvent(data: "\u{e9}")]).count == 1)
    }

    @Test("The description is Swift syntax")
    func description() {
        #expect(
            "\(ServerSentEvent(type: "a", data: "b\nc", id: "1", retry: .seconds(3)))"
                == #"ServerSentEvent(type: "a", data: "b\nc", id: "1", retry: 3.0 seconds)"#
        )
    }

    @Test("An invalid literal traps")
    func trap() async {
        await #expect(processExitsWith: .failure) { _ = ServerSentEvent(type: "a\nb", data: "x") }
        await #expect(processExitsWith: .failure) { _ = ServerSentEvent(data: "x", id: "1\0") }
        await #expect(processExitsWith: .failure) { _ = ServerSentEvent(data: "x", retry: .microseconds(1)) }
    }
}
