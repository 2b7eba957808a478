// SPDX-License-Identifier: Apache-2.0

#if Client && Server

import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import PlinthClient
import Synchronization

/// The clients that a suite has created.
final class Streams: Sendable {
    private let state = Mutex((last: 0, streams: [Int: TestedStream]()))

    func add(_ options: StreamOptions) -> Int {
        state.withLock { state in
            state.last += 1
            state.streams[state.last] = TestedStream(options)
            return state.last
        }
    }

    func find(_ number: String) -> TestedStream? {
        Int(number).flatMap { number in state.withLock { $0.streams[number] } }
    }

    func remove(_ number: String) -> TestedStream? {
        Int(number).flatMap { number in state.withLock { $0.streams.removeValue(forKey: number) } }
    }
}

/// A client under test, which reports through callbacks what it receives.
final class TestedStream: Sendable {
    private enum Callback: Encodable {
        struct Event: Encodable {
            var type: String
            var data: String
            var id: String
        }

        case event(EventSource.Event)
        case comment(String)
        case error(EventSourceError)

        private enum CodingKeys: CodingKey {
            case kind, event, comment, error
        }

        func encode(to encoder: any Encoder) throws {
            var fields = encoder.container(keyedBy: CodingKeys.self)
            switch self {
            case .event(let event):
                try fields.encode("event", forKey: .kind)
                let event = Event(type: event.type, data: event.data, id: event.lastEventID)
                try fields.encode(event, forKey: .event)
            case .comment(let text):
                try fields.encode("comment", forKey: .kind)
                try fields.encode(text, forKey: .comment)
            case .error(let error):
                try fields.encode("error", forKey: .kind)
                try fields.encode("\(error)", forKey: .error)
            }
        }
    }

    private let source: EventSource
    private let task: Task<Void, Never>

    init(_ options: StreamOptions) {
        let source = EventSource(options.streamUrl, configuration: options.configuration)
        self.source = source
        task = Task { await Self.report(source, to: options.callbackUrl) }
    }

    func run(_ command: Command) -> Bool {
        guard command.command == "restart" else { return false }
        source.restart()
        return true
    }

    /// Closes the client; no callbacks follow.
    func end() async {
        source.close()
        task.cancel()
        await task.value
    }

    private static func report(_ source: EventSource, to url: String) async {
        var number = 0
        do {
            for try await message in source.messages {
                switch message {
                case .event(let event): try await call(.event(event), url, &number)
                case .comment(let text): try await call(.comment(text), url, &number)
                case .disconnected(let error, _):
                    // The end of a stream is not an error.
                    if error.code != .streamEnded { try await call(.error(error), url, &number) }
                case .opened: break
                }
            }
        } catch let error as EventSourceError {
            try? await call(.error(error), url, &number)
        } catch {
            FileHandle.standardError.write(Data("callback \(number) to \(url) failed: \(error)\n".utf8))
        }
    }

    /// Sends one callback and waits for its response, which keeps callbacks in order.
    private static func call(_ callback: Callback, _ url: String, _ number: inout Int) async throws {
        number += 1
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        var request = HTTPClientRequest(url: "\(url)/\(number)")
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.body = .bytes(ByteBuffer(bytes: try encoder.encode(callback)))
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(30))
        _ = try await response.body.collect(upTo: 1 << 20)
    }
}

#endif
