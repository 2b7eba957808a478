// SPDX-License-Identifier: Apache-2.0

#if Server

import Foundation
import NIOCore
import NIOHTTP1
import Plinth
import PlinthTestSupport
import Testing

@testable import PlinthServer

/// The request machine alone: every input in every phase, and random inputs against what must always hold.
@Suite("Request machine")
struct RequestMachineTests {
    // MARK: - Every input in every phase

    /// The phases of an HTTP/1 connection, and how a client and an application get there.
    static let phases: [(String, @Sendable (inout RecordedConnection) -> Void)] = [
        ("waiting", { _ in }),
        ("a partial head", { $0.partialHead() }),
        ("serving, no body", { $0.request() }),
        ("serving, body to come", { $0.request(length: 9) }),
        ("serving, `100 Continue` to come", { $0.request(length: 9, expects: true) }),
        (
            "response begun",
            {
                $0.request(); $0.begin()
            }
        ),
        (
            "a writer waits for room",
            {
                $0.request(); $0.begin(); $0.hasRoom(false); $0.write()
            }
        ),
        (
            "answered, body to come",
            {
                $0.request(length: 9); $0.respond()
            }
        ),
        (
            "another request waits",
            {
                $0.request(); $0.request()
            }
        ),
        (
            "bad input waits",
            {
                $0.request(); $0.badInput()
            }
        ),
        (
            "answered, not taken",
            {
                $0.request(); $0.hasRoom(false); $0.respond()
            }
        ),
        ("ending", { $0.badInput() }),
        (
            "lingering",
            {
                $0.badInput(); $0.lastIsWritten()
            }
        ),
        (
            "handing off",
            {
                $0.request(); $0.handOff()
            }
        ),
        (
            "left",
            {
                $0.request(); $0.leave()
            }
        ),
        ("closed", { $0.connectionClosed() }),
    ]

    static let inputs: [(String, @Sendable (inout RecordedConnection) -> Void)] = [
        ("a head", { $0.head() }),
        ("a head with an error", { $0.head(host: nil) }),
        ("a body part", { $0.bodyPart() }),
        ("an end", { $0.endOfRequest() }),
        ("bytes of a head", { $0.partialHead() }),
        ("a read is possible", { $0.readIsPossible() }),
        ("no room", { $0.hasRoom(false) }),
        ("room", { $0.hasRoom(true) }),
        ("bad input", { $0.badInput() }),
        ("the client's end", { $0.inputClosed() }),
        ("a failure", { $0.connectionFailed() }),
        ("the connection's end", { $0.connectionClosed() }),
        ("the deadline", { $0.passDeadline() }),
        ("a shutdown", { $0.drain() }),
        ("termination", { $0.terminate() }),
        ("a whole response", { $0.respond() }),
        ("the beginning of a response", { $0.begin() }),
        ("the beginning of a stream", { $0.beginStream() }),
        ("bytes of a response", { $0.write() }),
        ("the end of a response", { $0.end() }),
        ("an abort", { $0.abort() }),
        ("demand for the body", { $0.bodyIsWanted() }),
        ("the last is written", { $0.lastIsWritten() }),
    ]

    @Test("What each input does in each phase is as documented")
    func table() throws {
        var text = """
            # Requests: what a connection does

            A connection's `RequestMachine` by phase and input, on HTTP/1.1: the actions, then the phase that follows if it
            is another one. `–`: nothing. The table is written by `RequestMachineTests`, which fails if it is not this one.

            """
        for (phase, enter) in Self.phases {
            text +=
                "\n## \(phase.prefix(1).uppercased() + phase.dropFirst())\n\n| input | actions | phase |\n|---|---|---|\n"
            for (input, apply) in Self.inputs {
                var connection = RecordedConnection()
                enter(&connection)
                let before = connection.phaseName
                connection.recorded = []
                apply(&connection)
                let actions = connection.recorded.isEmpty ? "–" : connection.recorded.joined(separator: ", ")
                let after = connection.phaseName
                text += "| \(input) | \(actions) | \(after == before ? "" : after) |\n"
            }
        }
        var folder = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { folder.deleteLastPathComponent() }
        let documented = try String(contentsOf: folder.appending(path: "docs/requests.md"), encoding: .utf8)
        if documented != text {
            let written = FileManager.default.temporaryDirectory.appending(path: "requests.md")
            try text.write(to: written, atomically: true, encoding: .utf8)
            Issue.record("docs/requests.md differs from the machine; compare it with \(written.path)")
        }
    }

    // MARK: - Random inputs

    @Test(
        "Random inputs: a request is answered once or its connection closed, nothing follows the end, and silence ends"
    )
    func random() {
        let first = UInt64(ProcessInfo.processInfo.environment["SEED"] ?? "") ?? 1
        for seed in first..<first + 3000 {
            var model = RequestModel(seed: seed)
            for _ in 0..<60 { model.step() }
            model.silence()
            if !model.violations.isEmpty {
                Issue.record(
                    "seed \(seed), HTTP/\(model.isSocket ? 1 : 2): \(model.violations)\n\(model.log.joined(separator: "\n"))"
                )
                return
            }
        }
    }

    // MARK: - Deadlines

    @Test(
        "Each wait for a client ends at its own timeout",
        arguments: [
            ("waiting", 75), ("a partial head", 15), ("serving, body to come", 30), ("a writer waits for room", 31),
            ("answered, body to come", 30), ("answered, not taken", 31), ("ending", 31), ("lingering", 5),
            ("handing off", 31),
        ]
    )
    func deadlines(_ phase: String, _ seconds: Int64) throws {
        let enter = try #require(Self.phases.first { $0.0 == phase }).1
        var connection = RecordedConnection()
        enter(&connection)
        connection.waitingSince = connection.now
        let due = connection.now + .seconds(seconds)
        #expect(connection.machine.deadline == due)
        connection.recorded = []
        connection.time(due.advanced(by: -1))
        #expect(connection.recorded.isEmpty)
        connection.time(due)
        #expect(!connection.recorded.isEmpty)
    }

    @Test("A slow client that takes some of its response within each write timeout keeps its connection")
    func progress() {
        var connection = RecordedConnection()
        connection.buffered = 1000
        connection.request()
        connection.begin()
        connection.hasRoom(false)
        connection.write()
        for left in stride(from: 900, through: 100, by: -100) {
            connection.buffered = left
            connection.passDeadline()
            #expect(!connection.recorded.contains("close"))
        }
        connection.passDeadline()
        #expect(connection.recorded.suffix(4) == ["cancel", "body fails: cancelled", "release", "close"])
    }

    @Test("A response that fills the output has the write timeout, not the idle one")
    func fillsOutput() {
        var connection = RecordedConnection()
        connection.request()
        connection.fillsWhenFlushed = true
        connection.respond()
        #expect(connection.machine.deadline == connection.now + RecordedConnection.limits.writeTimeout)
    }

    @Test("A client that still takes its response at the idle timeout gets more time")
    func takesLate() {
        var connection = RecordedConnection()
        connection.request()
        connection.respond()
        connection.recorded = []
        connection.buffered = 500
        connection.passDeadline()
        #expect(connection.recorded.isEmpty)
        connection.buffered = 100
        connection.passDeadline()
        #expect(connection.recorded.isEmpty)
        connection.passDeadline()
        #expect(connection.recorded == ["close"])
    }

    @Test("A request body that still arrives does not extend the write timeout")
    func input() {
        var connection = RecordedConnection()
        connection.request(length: 100)
        connection.begin()
        connection.hasRoom(false)
        connection.write()
        let due = connection.machine.deadline
        connection.time(connection.now + .seconds(10))
        connection.bodyPart()
        #expect(connection.machine.deadline == due)
    }

    @Test("Only the time during which a handler waits for its body counts")
    func handlerWaits() {
        var connection = RecordedConnection()
        connection.request(length: 9)
        for _ in 0..<5 {
            connection.passDeadline()
            #expect(!connection.recorded.contains("body fails: 408"))
        }
        connection.waitingSince = connection.now
        connection.passDeadline()
        #expect(connection.recorded.last == "body fails: 408")
    }
}

#endif
