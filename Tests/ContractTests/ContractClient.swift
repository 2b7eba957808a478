// SPDX-License-Identifier: Apache-2.0

#if Server

import Foundation
import Plinth
import PlinthTestSupport
import PlinthTesting

/// A client of one stream, for any way to serve it.
protocol ContractClient: AnyObject, Sendable {
    /// The response's status and header fields, whose names are in lower case.
    func head() async throws -> (status: Int, fields: [String: String])
    /// The body so far, as soon as it contains a text.
    ///
    /// - Throws: If the body ends without it.
    func body(until mark: String) async throws -> String
    /// The whole body, and whether it was completed.
    func end() async throws -> (body: String, isComplete: Bool)
    /// Stops reading.
    func stall()
    /// Reads again.
    func resume()
    /// Runs `body` while time passes for the stream: on a test clock, it passes only here and while the client waits.
    func asTimePasses(_ body: () async throws -> Void) async throws
    /// Closes its connection.
    func leave()
}

/// curl, over every version of HTTP.
actor CurlClient: ContractClient {
    private nonisolated let curl: ChildProcess
    private var seen: [UInt8] = []
    /// Where the body begins.
    private var bodyStart: Int?
    private var isOver = false

    init(_ way: Way, _ url: String, _ options: [String]) throws {
        curl = try ChildProcess("curl", ["-sikN", "-m", "600"] + way.curlOptions + options + [url])
    }

    /// Reads until a text appears after an offset, or until the end.
    ///
    /// - Returns: The offset of the text's end; nil if it did not appear.
    private func read(until mark: String, from start: Int) async throws -> Int? {
        let mark = Array(mark.utf8)
        var from = start
        while true {
            if let found = seen[min(from, seen.count)...].firstRange(of: mark) { return found.upperBound }
            // The text may begin in the bytes already read.
            from = max(start, seen.count - mark.count)
            if isOver { return nil }
            let more = try await curl.nextOutput()
            isOver = more.isEmpty
            seen += more
        }
    }

    /// Reads to the start of the body, and returns its offset.
    private func bodyBegins() async throws -> Int {
        if let bodyStart { return bodyStart }
        let start = try await read(until: "\r\n\r\n", from: 0) ?? seen.count
        bodyStart = start
        return start
    }

    func head() async throws -> (status: Int, fields: [String: String]) {
        let end = try await bodyBegins()
        var lines = String(decoding: seen[..<end], as: UTF8.self).split(separator: "\r\n")[...]
        let status = lines.popFirst()?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        var fields: [String: String] = [:]
        for line in lines {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
        }
        return (status, fields)
    }

    func body(until mark: String) async throws -> String {
        let start = try await bodyBegins()
        let found = try await read(until: mark, from: start)
        let body = String(decoding: seen[start...], as: UTF8.self)
        try must(found != nil, "the end of \(body.suffix(1000).debugDescription) without \(mark.debugDescription)")
        return body
    }

    func end() async throws -> (body: String, isComplete: Bool) {
        let start = try await bodyBegins()
        while !isOver { _ = try await read(until: "\0", from: seen.count) }
        let result = try await curl.result()
        return (String(decoding: seen[start...], as: UTF8.self), result.status == 0)
    }

    nonisolated func stall() { curl.stall() }

    nonisolated func resume() { curl.resume() }

    nonisolated func asTimePasses(_ body: () async throws -> Void) async throws { try await body() }

    nonisolated func leave() { curl.kill() }
}

/// The client of `PlinthTesting`, without a socket, on a test clock.
final class MemoryClient: ContractClient {
    /// A response that is not a stream.
    private let refusal: NotAnEventStream?
    private let stream: TestEventStream?
    private let readsSlowly: Bool

    /// Sends a request; a slow client pauses before each read, for a third of ``ContractServer/slowReading``.
    init(_ chain: Chain, _ request: Request, readsSlowly: Bool = false) async throws {
        self.readsSlowly = readsSlowly
        do {
            stream = try await chain.eventStream(for: request, timeout: patience)
            refusal = nil
        } catch let error as NotAnEventStream {
            stream = nil
            refusal = error
        }
    }

    func head() async throws -> (status: Int, fields: [String: String]) {
        let fields = stream?.headers ?? refusal?.headers ?? HTTPFields()
        return (
            stream?.status.code ?? refusal?.status.code ?? 0,
            Dictionary(fields.map { ($0.name.canonicalName, $0.value) }, uniquingKeysWith: { "\($0), \($1)" })
        )
    }

    private var bytes: [UInt8] { stream?.receivedBytes ?? Array((refusal?.body ?? "").utf8) }

    func body(until mark: String) async throws -> String {
        try await wait(for: "\(mark.debugDescription) from the stream") {
            let bytesOfMark = Array(mark.utf8)
            var from = 0
            while true {
                // Read first, so that the bytes include all that came before the end.
                let isOver = self.stream?.endReason != nil
                let bytes = self.bytes
                if bytes[min(from, bytes.count)...].firstRange(of: bytesOfMark) != nil {
                    return String(decoding: bytes, as: UTF8.self)
                }
                try must(!isOver, "the end without \(mark)")
                from = max(0, bytes.count - bytesOfMark.count)
                await self.passTime()
            }
        }
    }

    func end() async throws -> (body: String, isComplete: Bool) {
        try await wait(for: "the end of the stream") {
            while let stream = self.stream, stream.endReason == nil { await self.passTime() }
        }
        return (String(decoding: bytes, as: UTF8.self), stream?.endReason?.completesBody ?? true)
    }

    /// Lets timers fire on the clock, and tasks run.
    private func passTime() async {
        if readsSlowly {
            stream?.stall()
            stream?.advance(by: ContractServer.slowReading / 3)
            stream?.resume()
        } else {
            stream?.advance(by: .milliseconds(10))
        }
        await Task.yield()
    }

    func stall() { stream?.stall() }

    func resume() { stream?.resume() }

    func asTimePasses(_ body: () async throws -> Void) async throws {
        let clock = Task { while !Task.isCancelled { await passTime() } }
        defer { clock.cancel() }
        try await body()
    }

    func leave() { stream?.leave() }
}

extension TestEventStream {
    /// Why the stream ended; nil while it is open.
    fileprivate var endReason: StreamEnd? {
        received.lazy.compactMap { if case .end(let reason) = $0 { reason } else { nil } }.first
    }
}

#endif
