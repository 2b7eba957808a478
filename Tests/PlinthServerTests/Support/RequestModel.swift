// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import NIOHTTP1
import Plinth
import PlinthTestSupport

@testable import PlinthServer

/// A request machine between a random client, a random application and a channel that may close within any action.
struct RequestModel {
    /// What the application has done for a request.
    private struct Served {
        var heads = 0
        var releases = 0
        var isCancelled = false
        var hasBodyEnded = false
    }

    let isSocket: Bool
    private(set) var violations: [String] = []
    private(set) var log: [String] = []

    private var machine: RequestMachine
    private var random: SeededGenerator
    private var now = MonotonicTime(nanoseconds: 0)
    private var served: [UInt64: Served] = [:]
    /// The request whose task runs.
    private var running: UInt64?
    /// The requests whose tasks have not ended; a task may outlive its request.
    private var tasks: [UInt64] = []
    private var waitingWriters = 0
    private var isOpen = true
    private var hasClosed = false
    private var isOutputClosed = false
    private var hasEnded = false
    private var isLastPending = false
    private var opening: ResponseFraming?
    private var isHandedOff = false
    /// Where the client is within a request: nil between requests, else the bytes of the body to come.
    private var bodyLeft: Int?
    private var buffered = 0
    private var isPerforming = false

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
        isSocket = seed % 3 != 0
        machine = RequestMachine(
            RecordedConnection.limits,
            isSocket: isSocket,
            isSecure: false,
            hasInput: !isSocket
        )
        machine.begin(now: now)
        perform()
    }

    private mutating func draw(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &random) }

    // MARK: - The channel

    private mutating func violated(_ text: String) { violations.append(text) }

    private mutating func perform() {
        guard !isPerforming else { return }
        isPerforming = true
        while let action = machine.nextAction() { perform(action) }
        isPerforming = false
    }

    private mutating func perform(_ action: RequestMachine.Action) {
        if let name = action.name { log.append("  \(name)") }
        switch action {
        case .start(_, let current):
            if hasClosed { violated("a request was started after the end") }
            if running != nil { violated("two requests at once") }
            served[current.number] = Served()
            running = current.number
        case .run:
            if let running { tasks.append(running) }
        case .cancel: if let running { served[running]?.isCancelled = true }
        case .bodyPart:
            if let running, served[running]?.hasBodyEnded == true { violated("a body goes on after its end") }
            if draw(4) == 0 { machine.bodyIsFull() }
        case .bodyEnd: if let running { served[running]?.hasBodyEnded = true }
        case .bodyFailure, .bodyDrain, .reportShortBody, .countRefusal: break
        case .release:
            waitingWriters = 0
            guard let number = running else { break }
            served[number]?.releases += 1
            running = nil
        case .resumeWriters: waitingWriters = 0
        case .settleWriters: machine.settleWriters(now: now)
        case .takeWaiting: machine.takeWaiting(now: now)
        case .measure: machine.measured(buffered)
        case .head:
            if isHandedOff { violated("a head after the hand-off") }
            if isOutputClosed { violated("a head after the end of the output") }
            if let running {
                served[running]?.heads += 1
                if served[running]?.heads ?? 0 > 1 { violated("a second head") }
            }
            disturb()
        case .bytes, .end, .proceed:
            if isHandedOff { violated("bytes after the hand-off") }
            if isOutputClosed { violated("bytes after the end of the output") }
            disturb()
        case .flush: disturb()
        case .last:
            isLastPending = true
            disturb()
        case .read: break
        case .closeOutput: isOutputClosed = true
        case .stopUpload: disturb()
        case .close: close()
        }
    }

    /// Within a write the client may be found gone, or the output full.
    private mutating func disturb() {
        switch draw(40) {
        case 0: close()
        case 1: writability(false)
        default: break
        }
    }

    private mutating func close() {
        guard isOpen else { return }
        isOpen = false
        log.append("closed")
        machine.connectionClosed()
        hasClosed = true
        if isLastPending {
            isLastPending = false
            machine.lastIsWritten(now: now)
        }
        if opening != nil { openingIsWritten() }
        perform()
    }

    private mutating func writability(_ isWritable: Bool) {
        buffered = isWritable ? 0 : 100
        machine.writabilityChanged(isWritable, now: now)
        perform()
    }

    private mutating func openingIsWritten() {
        opening = nil
        isHandedOff = true
        _ = machine.openingIsWritten()
        perform()
    }

    // MARK: - Steps

    mutating func step() {
        switch draw(22) {
        case 0...5: client()
        case 6...13: application()
        case 14: if isOpen { log.append("no room"); writability(false) }
        case 15, 16: if isOpen { log.append("room"); writability(true) }
        case 17: written()
        case 18: elapse(Int64(draw(20)))
        case 19: if draw(4) == 0, isOpen { log.append("half-close"); machine.inputClosed(now: now); perform() }
        case 20: if draw(8) == 0, isOpen { log.append("drain"); machine.drain(now: now); perform() }
        default:
            guard draw(8) == 0, isOpen else { return }
            log.append("bad input")
            machine.badInput(HTTPError(.badRequest, "no"), isImmediate: draw(2) == 0, now: now)
            perform()
        }
    }

    private mutating func written() {
        if isLastPending {
            log.append("last is written")
            isLastPending = false
            machine.lastIsWritten(now: now)
            perform()
        }
        if opening != nil { openingIsWritten() }
    }

    private mutating func elapse(_ seconds: Int64) {
        now = now + .seconds(seconds)
        guard machine.deadline <= now else { return }
        log.append("deadline")
        machine.time(
            now: now,
            buffered: buffered,
            body: BodyWait(since: draw(2) == 0 ? MonotonicTime(nanoseconds: 0) : nil)
        )
        perform()
    }

    private mutating func client() {
        guard isOpen else { return }
        log.append("client sends")
        machine.bytesArrived(now: now)
        if let left = bodyLeft {
            if left > 0, draw(3) > 0 {
                let count = min(left, 1 + draw(400))
                bodyLeft = left - count
                machine.received(.body(ByteBuffer(repeating: 97, count: count)), now: now)
            } else if left == 0 || draw(20) == 0 {
                bodyLeft = nil
                machine.received(.end(nil), now: now)
            }
        } else if isSocket || served.isEmpty, draw(4) > 0 {
            let length = draw(3) == 0 ? draw(1200) : nil
            let head = RecordedConnection.head(
                length: length,
                expects: draw(6) == 0,
                host: draw(20) == 0 ? nil : "a"
            )
            bodyLeft = length ?? 0
            machine.received(.head(head), now: now)
        }
        machine.readCompleted(now: now)
        _ = machine.readIsPossible()
        perform()
    }

    private mutating func application() {
        guard let number = tasks.randomElement(using: &random) else { return }
        log.append("application of \(number)")
        switch draw(9) {
        case 0, 1: respond(number)
        case 2: _ = try? machine.respond(Response(status: .ok), length: draw(2) == 0 ? nil : 5, to: number)
        case 3:
            if (try? machine.write(Array("world".utf8), to: number)) != nil { waitingWriters += 1 }
        case 4: machine.end(number, now: now)
        case 5: if draw(4) == 0 { machine.abort(number, now: now) }
        case 6: machine.bodyIsWanted(number)
        case 7: machine.bodyMayPause(for: draw(2) == 0 ? nil : .seconds(3), number, now: now)
        default:
            guard draw(4) == 0 else { break }
            let stream = Response.eventStream(EventStream { _ in })
            guard case .stream(let framing)? = try? machine.respond(stream, length: nil, to: number) else { break }
            if draw(2) == 0 {
                machine.leave()
                isHandedOff = true
            } else {
                machine.handOff(now: now)
                opening = framing
            }
        }
        perform()
    }

    private mutating func respond(_ number: UInt64) {
        machine.respond(Response(status: .ok), Array("hello".utf8), to: number, now: now)
        perform()
    }

    // MARK: - The end

    /// The application ends its requests, and the client does nothing more: the connection must close.
    mutating func silence() {
        log.append("silence")
        for _ in 0..<60 where isOpen && !isHandedOff {
            let count = tasks.count
            for number in tasks {
                machine.end(number, now: now)
                perform()
                respond(number)
            }
            guard isOpen, !isHandedOff else { break }
            // Answering one may have begun the next.
            if tasks.count > count { continue }
            if machine.deadline == .distantFuture {
                violated("an open connection without a deadline in \(machine.phase.name)")
                break
            }
            now = max(now, machine.deadline)
            machine.time(now: now, buffered: buffered, body: BodyWait(since: MonotonicTime(nanoseconds: 0)))
            perform()
            written()
        }
        if isOpen, !isHandedOff { violated("silence does not end the connection in \(machine.phase.name)") }
        for (number, request) in served where request.releases != 1 {
            violated("request \(number) was released \(request.releases) times")
        }
        if waitingWriters > 0 { violated("a writer waits for ever") }
    }
}

#endif
