// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport
import Foundation
import Glibc
import Plinth
import Synchronization

/// A subscriber on a socket that decodes the chunks and parses the events, strictly.
final class StreamClient: Sendable {
    private struct State {
        var head: RawResponse?
        /// Received bytes that have not been decoded yet.
        var rest: [UInt8] = []
        var isChunked = true
        /// Whether the last chunk has arrived.
        var isComplete = false
        var text: [UInt8] = []
        var parser = ServerSentEventParser()
        var events: [ServerSentEvent] = []
        var isOver = false
    }

    let raw: RawClient
    private let state = Mutex(State())

    /// Subscribes, and waits for the head and the opening comment.
    init(
        port: Int,
        _ target: String,
        _ fields: String = "",
        version: String = "1.1",
        receiveBuffer: Int? = nil,
        behind: String = ""
    ) async throws {
        raw = try await RawClient.connect(port: port, receiveBuffer: receiveBuffer)
        try await raw.send("GET \(target) HTTP/\(version)\r\nHost: test\r\n\(fields)\r\n\(behind)")
        try await read(within: patience / .seconds(1), "the opening comment") { $0.text.starts(with: [0x3A, 0x0A]) }
    }

    var head: RawResponse { state.withLock { $0.head } ?? RawResponse(head: "") }
    /// The body so far, decoded.
    var text: String { state.withLock { String(decoding: $0.text, as: UTF8.self) } }
    /// Whether the body has ended with the last chunk, and nothing follows it.
    var isComplete: Bool { state.withLock { $0.isComplete && $0.rest.isEmpty } }
    /// The ID that a client sends to resume.
    var lastEventID: String { state.withLock { $0.parser.lastEventID } }
    var reconnectionTime: Duration? { state.withLock { $0.parser.reconnectionTime } }

    // MARK: - Reading

    /// The first `count` events of the stream, as soon as they have arrived.
    func events(_ count: Int, within limit: Double = patience / .seconds(1)) async throws -> [ServerSentEvent] {
        try await read(within: limit, "\(count) events") { $0.events.count >= count }
        return state.withLock { Array($0.events.prefix(count)) }
    }

    /// All events, once one of them satisfies `isLast`.
    func events(
        within limit: Double = patience / .seconds(1),
        until isLast: @escaping @Sendable (ServerSentEvent) -> Bool
    ) async throws
        -> [ServerSentEvent]
    {
        try await read(within: limit, "an event") {
            $0.events.last.map(isLast) ?? false || $0.events.contains(where: isLast)
        }
        return state.withLock { $0.events }
    }

    /// All events, once they are enough.
    func events(
        _ what: String,
        until isEnough: @escaping @Sendable ([ServerSentEvent]) -> Bool
    ) async throws -> [ServerSentEvent] {
        try await read(within: patience / .seconds(1), what) { isEnough($0.events) }
        return state.withLock { $0.events }
    }

    /// Waits for a text in the body.
    func text(containing mark: String, within limit: Double = patience / .seconds(1)) async throws {
        let mark = Array(mark.utf8)
        try await read(within: limit, "a text") { $0.text.firstRange(of: mark) != nil }
    }

    /// Reads to the end of the connection.
    ///
    /// - Returns: All events.
    @discardableResult
    func end(within limit: Double = patience / .seconds(1)) async throws -> [ServerSentEvent] {
        try await read(within: limit, "the end") { $0.isOver }
        return state.withLock { $0.events }
    }

    private func read(
        within limit: Double,
        _ what: String,
        until isEnough: @escaping @Sendable (borrowing State) -> Bool
    ) async throws {
        try await onThread {
            Result {
                guard try self.readNow(until: DispatchTime.now() + limit, isEnough) else {
                    throw RawClient.Failure(description: "\(what) did not come; there is \(self.shown)")
                }
            }
        }.get()
    }

    /// Reads until `isEnough` holds, the deadline passes, or the stream ends.
    ///
    /// - Returns: Whether `isEnough` holds.
    private func readNow(until deadline: DispatchTime, _ isEnough: (borrowing State) -> Bool) throws -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            if state.withLock({ isEnough($0) }) { return true }
            if state.withLock({ $0.isOver }) { return false }
            let count = recv(raw.descriptor, &buffer, buffer.count, 0)
            let error = count < 0 ? errno : 0
            if count > 0 {
                try take(Array(buffer[..<count]))
            } else if error != EAGAIN {
                state.withLock { $0.isOver = true }
                if error != 0 {
                    throw RawClient.Failure(description: "the connection failed (errno \(error)) after \(shown)")
                }
            } else {
                let now = DispatchTime.now()
                guard deadline > now else { return false }
                var poll = pollfd(fd: raw.descriptor, events: Int16(POLLIN), revents: 0)
                let left = (deadline.uptimeNanoseconds - now.uptimeNanoseconds) / 1_000_000
                _ = Glibc.poll(&poll, 1, CInt(left) + 1)
            }
        }
    }

    private var shown: String {
        state.withLock {
            "\($0.events.count) events, and \(String(decoding: $0.text.suffix(500), as: UTF8.self).debugDescription)"
        }
    }

    /// Decodes the chunks, and parses their contents.
    private func take(_ bytes: [UInt8]) throws {
        try state.withLock { state in
            var text: [UInt8] = []
            state.rest += bytes
            if state.head == nil {
                guard let end = state.rest.firstRange(of: [13, 10, 13, 10]) else { return }
                let head = RawResponse(head: String(decoding: state.rest[..<end.lowerBound], as: UTF8.self))
                guard head.status == 200, head["Content-Type"] == "text/event-stream; charset=UTF-8" else {
                    throw RawClient.Failure(description: "the server did not open a stream: \(head)")
                }
                state.head = head
                state.isChunked = head["Transfer-Encoding"] == "chunked"
                state.rest.removeFirst(end.upperBound)
            }
            if state.isChunked {
                var start = 0
                while !state.isComplete, let line = state.rest[start...].firstRange(of: [13, 10]) {
                    let digits = String(decoding: state.rest[start..<line.lowerBound], as: UTF8.self)
                    guard let size = Int(digits, radix: 16) else {
                        throw RawClient.Failure(description: "a chunk of size \(digits.debugDescription)")
                    }
                    let end = line.upperBound + size
                    guard end + 2 <= state.rest.count else { break }
                    guard state.rest[end] == 13, state.rest[end + 1] == 10 else {
                        throw RawClient.Failure(description: "a chunk without CRLF")
                    }
                    text += state.rest[line.upperBound..<end]
                    if size == 0 { state.isComplete = true }
                    start = end + 2
                }
                state.rest.removeFirst(start)
            } else {
                text = state.rest
                state.rest = []
            }
            state.text += text
            // Tests of many events check the events, not the text.
            if state.text.count > 1_000_000 { state.text.removeFirst(900_000) }
            var events: [ServerSentEvent] = []
            try state.parser.parse(text) { events.append($0) }
            state.events += events
        }
    }
}

#endif
