// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import NIOHTTP1
import Plinth

@testable import PlinthServer

/// A request machine whose actions are recorded, and answered as a channel with room would.
struct RecordedConnection {
    var machine: RequestMachine
    var now = MonotonicTime(nanoseconds: 0)
    var buffered = 0
    var waitingSince: MonotonicTime?
    /// Whether the output has no room after a flush.
    var fillsWhenFlushed = false
    var recorded: [String] = []
    /// The request that was started last.
    private(set) var number: UInt64 = 0

    static let limits = RequestMachine.Limits(
        headTimeout: .seconds(15),
        bodyTimeout: .seconds(30),
        idleTimeout: .seconds(75),
        writeTimeout: .seconds(31),
        lingerTimeout: .seconds(20),
        maximumTargetSize: 100,
        maximumBodySize: 1000
    )

    init() {
        machine = RequestMachine(Self.limits, isSocket: true, isSecure: false, hasInput: false)
        machine.begin(now: now)
        perform()
    }

    var phaseName: String { machine.phase.name }

    private mutating func perform() {
        while let action = machine.nextAction() {
            switch action {
            case .start(_, let current): number = current.number
            case .measure: machine.measured(buffered)
            case .settleWriters: machine.settleWriters(now: now)
            case .takeWaiting: machine.takeWaiting(now: now)
            case .flush where fillsWhenFlushed: machine.writabilityChanged(false, now: now)
            default: break
            }
            if let name = action.name { recorded.append(name) }
        }
    }

    // MARK: - Inputs

    mutating func head(length: Int? = nil, expects: Bool = false, host: String? = "a") {
        machine.received(.head(Self.head(length: length, expects: expects, host: host)), now: now)
        perform()
    }

    static func head(length: Int? = nil, expects: Bool = false, host: String? = "a") -> HTTPRequestHead {
        var head = HTTPRequestHead(version: .http1_1, method: length == nil ? .GET : .POST, uri: "/")
        if let host { head.headers.add(name: "Host", value: host) }
        if let length { head.headers.add(name: "Content-Length", value: "\(length)") }
        if expects { head.headers.add(name: "Expect", value: "100-continue") }
        return head
    }

    /// A request; with a body, all but its bytes.
    mutating func request(length: Int? = nil, expects: Bool = false) {
        head(length: length, expects: expects)
        if length == nil { endOfRequest() }
        machine.readCompleted(now: now)
        perform()
    }

    mutating func bodyPart() {
        machine.received(.body(ByteBuffer(string: "abc")), now: now)
        perform()
    }

    mutating func endOfRequest() {
        machine.received(.end(nil), now: now)
        perform()
    }

    mutating func partialHead() {
        machine.bytesArrived(now: now)
        machine.readCompleted(now: now)
        perform()
    }

    mutating func readIsPossible() {
        if machine.readIsPossible() { recorded.append("read") }
    }

    mutating func hasRoom(_ room: Bool) {
        machine.writabilityChanged(room, now: now)
        perform()
    }

    mutating func badInput() {
        machine.badInput(HTTPError(.badRequest, "not HTTP"), isImmediate: false, now: now)
        perform()
    }

    mutating func inputClosed() {
        machine.inputClosed(now: now)
        perform()
    }

    mutating func connectionFailed() {
        machine.connectionFailed(isSocketError: true)
        perform()
    }

    mutating func connectionClosed() {
        machine.connectionClosed()
        perform()
    }

    mutating func time(_ time: MonotonicTime) {
        now = time
        machine.time(now: now, buffered: buffered, body: BodyWait(since: waitingSince))
        perform()
    }

    mutating func passDeadline() {
        guard machine.deadline < .distantFuture else { return }
        time(machine.deadline)
    }

    mutating func drain() {
        machine.drain(now: now)
        perform()
    }

    mutating func terminate() {
        machine.terminate()
        perform()
    }

    mutating func respond() {
        machine.respond(Response(status: .ok), Array("hello".utf8), to: number, now: now)
        perform()
    }

    mutating func begin() {
        _ = try? machine.respond(Response(status: .ok), length: nil, to: number)
        perform()
    }

    mutating func beginStream() {
        let stream = Response.eventStream(EventStream { _ in })
        if case .stream? = try? machine.respond(stream, length: nil, to: number) { recorded.append("(a stream)") }
        perform()
    }

    mutating func write() {
        try? machine.write(Array("world".utf8), to: number)
        perform()
    }

    mutating func end() {
        machine.end(number, now: now)
        perform()
    }

    mutating func abort() {
        machine.abort(number, now: now)
        perform()
    }

    mutating func bodyIsWanted() {
        machine.bodyIsWanted(number)
        perform()
    }

    mutating func lastIsWritten() {
        machine.lastIsWritten(now: now)
        perform()
    }

    mutating func handOff() {
        machine.handOff(now: now)
        perform()
    }

    mutating func leave() {
        machine.leave()
        perform()
    }
}

extension RequestMachine.Phase {
    var name: String {
        switch self {
        case .waiting(hasPartialHead: false): "waiting"
        case .waiting(hasPartialHead: true): "a partial head"
        case .serving: "serving"
        case .ending: "ending"
        case .lingering: "lingering"
        case .handingOff: "handing off"
        case .left: "left"
        case .closed: "closed"
        }
    }
}

extension RequestMachine.Action {
    /// What is recorded; nil for questions that change nothing outside.
    var name: String? {
        switch self {
        case .start: "start"
        case .run: "run"
        case .cancel: "cancel"
        case .bodyPart: "body"
        case .bodyEnd: "end of body"
        case .bodyFailure(let error): "body fails: \(Self.name(error))"
        case .bodyDrain: "drain body"
        case .release: "release"
        case .resumeWriters: "writers go on"
        case .head(let response, _): "head \(response.status.code)"
        case .bytes: "bytes"
        case .proceed: "head 100"
        case .end: "end"
        case .flush: "flush"
        case .last(let framing): framing == nil ? "last" : "last end"
        case .read: "read"
        case .closeOutput: "close output"
        case .stopUpload: "stop upload"
        case .close: "close"
        case .countRefusal(let limit): "refused by \(limit.rawValue)"
        case .reportShortBody: "report a short body"
        case .settleWriters, .takeWaiting, .measure: nil
        }
    }

    private static func name(_ error: any Error) -> String {
        if let error = error as? HTTPError { return "\(error.status.code)" }
        return error is CancellationError ? "cancelled" : "lost"
    }
}

#endif
