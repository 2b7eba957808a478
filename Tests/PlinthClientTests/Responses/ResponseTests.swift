// SPDX-License-Identifier: Apache-2.0

import PlinthClient
import PlinthEvents
import Testing

#if Client
import NIOCore
#endif

/// Events of a single response.
@Suite("Responses")
struct ResponseTests {
    static func chunks(_ texts: String...) -> AsyncStream<[UInt8]> {
        AsyncStream { stream in
            for text in texts { stream.yield(Array(text.utf8)) }
            stream.finish()
        }
    }

    static func bytes(_ text: String) -> AsyncStream<UInt8> {
        AsyncStream { stream in
            for byte in text.utf8 { stream.yield(byte) }
            stream.finish()
        }
    }

    static func data<Events: AsyncSequence>(_ events: Events) async throws -> [String]
    where Events.Element == EventSource.Event {
        var data: [String] = []
        for try await event in events { data.append("\(event.type): \(event.data)") }
        return data
    }

    @Test("Chunks, bytes and buffers have the same events, without the unfinished one")
    func kinds() async throws {
        let text = "\u{FEFF}data: a\n\nevent: e\rdata: b\r\rdata: unfinished\n"
        let expected = ["message: a", "e: b"]
        #expect(try await Self.data(Self.chunks(text).events) == expected)
        #expect(try await Self.data(Self.bytes(text).events) == expected)
        #if Client
        let buffers = AsyncStream { stream in
            for byte in text.utf8 { stream.yield(ByteBuffer(bytes: [byte])) }
            stream.finish()
        }
        #expect(try await Self.data(buffers.events) == expected)
        #endif
    }

    @Test("The sequence ends at the terminator, whatever follows")
    func terminator() async throws {
        let stream = { Self.chunks("data: a\n\nda", "ta: [DONE]\n\nevent: stop\ndata: b\n\n", "data: c\n\n") }
        #expect(try await Self.data(stream().events(until: .data("[DONE]"))) == ["message: a"])
        let byType = try await Self.data(stream().events(until: .type("stop")))
        #expect(byType == ["message: a", "message: [DONE]", "stop: b"])
        var iterator = stream().events(until: .data("[DONE]")).makeAsyncIterator()
        _ = try await iterator.next()
        #expect(try await iterator.next() == nil)
        #expect(try await iterator.next() == nil)
    }

    @Test("A body that ends before the terminator is an error, after its events")
    func missingTerminator() async throws {
        var iterator = Self.chunks("data: a\n\ndata: [DONE]\n").events(until: .data("[DONE]")).makeAsyncIterator()
        #expect(try await iterator.next()?.data == "a")
        let error = await #expect(throws: EventSourceError.self) { try await iterator.next() }
        #expect(error?.code == .missingTerminator)
        #expect(error?.message.contains("after 1 events") == true)
        #expect(try await iterator.next() == nil)
    }

    @Test("An event above the limit is an error, after the events before it")
    func tooLarge() async throws {
        var iterator = Self.chunks("data: a\n\ndata: 12345\n\n").events(maximumEventSize: 4).makeAsyncIterator()
        #expect(try await iterator.next()?.data == "a")
        let error = await #expect(throws: EventSourceError.self) { try await iterator.next() }
        #expect(error?.code == .tooLarge)
        #expect(try await iterator.next() == nil)
    }

    @Test("An error of the base is rethrown")
    func baseError() async throws {
        struct Broken: Error {}
        let base = AsyncThrowingStream<[UInt8], any Error> { stream in
            stream.yield(Array("data: a\n\n".utf8))
            stream.finish(throwing: Broken())
        }
        var iterator = base.events.makeAsyncIterator()
        #expect(try await iterator.next()?.data == "a")
        await #expect(throws: Broken.self) { try await iterator.next() }
    }

    struct Price: Decodable, Equatable {
        var amount: Int
    }

    @Test("Data is decoded, optionally of one event type only")
    func decoding() async throws {
        let stream = Self.chunks("data: {\"amount\": 1}\n\nevent: x\ndata: y\n\ndata: {\"amount\":\ndata: 2}\n\n")
        var prices: [Price] = []
        for try await price in stream.events.decode(Price.self, ofType: "message") { prices.append(price) }
        #expect(prices == [Price(amount: 1), Price(amount: 2)])
        var lengths: [Int] = []
        for try await length in Self.chunks("data: abc\n\n").events.decode({ $0.data.utf8.count }) {
            lengths.append(length)
        }
        #expect(lengths == [3])
    }

    @Test("A decoding error names the event: number, type, ID and the beginning of its data")
    func decodingError() async throws {
        let long = String(repeating: "x", count: 200)
        let stream = Self.chunks("data: {\"amount\": 1}\n\nid: 7\nevent: price\ndata: \(long)\n\n")
        var iterator = stream.events.decode(Price.self).makeAsyncIterator()
        #expect(try await iterator.next() == Price(amount: 1))
        let error = await #expect(throws: EventDecodingError.self) { try await iterator.next() }
        #expect(error?.number == 2)
        #expect(error?.event.lastEventID == "7")
        let description = try #require(error?.description)
        for part in ["Event 2", "\"price\"", "\"7\"", "\"\(String(repeating: "x", count: 80))\"…"] {
            #expect(description.contains(part), "\(part) in \(description)")
        }
        #expect(try await iterator.next() == nil)
    }

    @Test("A received event can be sent, with its own ID and not an earlier one")
    func bridging() async throws {
        var sent: [ServerSentEvent] = []
        for try await event in Self.chunks("id: 1\ndata: a\n\nevent: e\ndata: b\n\n").events {
            sent.append(try ServerSentEvent(event))
        }
        #expect(sent == [ServerSentEvent(data: "a", id: "1"), ServerSentEvent(type: "e", data: "b")])
    }
}
