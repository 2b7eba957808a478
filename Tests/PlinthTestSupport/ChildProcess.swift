// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

/// A program that a test runs, such as a real peer.
package final class ChildProcess: Sendable {
    package struct Missing: Error, CustomStringConvertible {
        let program: String

        package var description: String {
            "\(program) is missing: run `make test`, which installs it, or `apt-get install \(program)`"
        }
    }

    package struct Result: Sendable {
        package var status: Int32
        package var output: String
        package var errors: String
    }

    private let process: Process
    private let output = Pipe()
    private let errors = Pipe()
    private let ended = Recorder<Int32>()
    package let identifier: Int32

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - program: Its absolute path, or its name in one of the standard folders.
    ///   - arguments: Its arguments.
    /// - Throws: ``Missing`` if there is no such program.
    package init(_ program: String, _ arguments: [String]) throws {
        let folders = ["/usr/bin/", "/usr/sbin/", "/usr/local/bin/", "/bin/", "/opt/homebrew/bin/"]
        let candidates = program.hasPrefix("/") ? [program] : folders.map { $0 + program }
        guard let path = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
            throw Missing(program: program)
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = errors
        let ended = self.ended
        process.terminationHandler = { ended.record($0.terminationStatus) }
        try withSignalsUnblocked { try process.run() }
        self.process = process
        identifier = process.processIdentifier
    }

    deinit {
        if process.isRunning { process.terminate() }
    }

    package func terminate() {
        if process.isRunning { process.terminate() }
    }

    /// Suspends the program with SIGSTOP: it reads nothing more, but keeps its connections and memory.
    package func stall() {
        if process.isRunning { Foundation.kill(identifier, SIGSTOP) }
    }

    /// Resumes the program after ``stall()``.
    package func resume() {
        if process.isRunning { Foundation.kill(identifier, SIGCONT) }
    }

    package func kill() {
        if process.isRunning { Foundation.kill(identifier, SIGKILL) }
    }

    /// Waits until the program has exited.
    package func result(within limit: Duration = patience) async throws -> Result {
        let output = try await wait(for: "the program's output", within: limit) { [self] in
            await onThread { self.output.allOutput() }
        }
        let errors = await onThread { self.errors.allOutput() }
        let status = try await ended.first(1, within: limit, "the program's end")[0]
        return Result(
            status: status,
            output: String(decoding: output, as: UTF8.self),
            errors: String(decoding: errors, as: UTF8.self)
        )
    }

    /// Waits for the program's next output; empty at the end.
    package func nextOutput() async throws -> [UInt8] {
        try await wait(for: "more output from the program") { [self] in await onThread { self.output.nextOutput() } }
    }

    /// Waits until the output contains `mark` or ends, and returns it.
    package func output(until mark: String, within limit: Duration = patience) async throws -> String {
        try await wait(for: "\(mark.debugDescription) from the program", within: limit) { [self] in
            await onThread {
                var text = ""
                while !text.contains(mark) {
                    let data = self.output.nextOutput()
                    if data.isEmpty { break }
                    text += String(decoding: data, as: UTF8.self)
                }
                return text
            }
        }
    }

    /// Runs a program to its end.
    package static func run(_ program: String, _ arguments: [String]) async throws -> Result {
        try await ChildProcess(program, arguments).result()
    }
}
