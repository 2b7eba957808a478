// SPDX-License-Identifier: Apache-2.0

#if Command
import PlinthTestSupport
import Foundation
import Testing

/// Runs the built tool as a process.
struct Tool {
    struct Result: Equatable {
        var output: String
        var errors: String
        var status: Int32
    }

    static func process(_ arguments: [String]) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try Product.path("plinth"))
        process.arguments = arguments
        return process
    }

    /// Starts two processes, the output of one being the input of the other.
    static func run(_ writer: Process, into reader: Process) throws {
        let pipe = Pipe()
        writer.standardOutput = pipe
        reader.standardInput = pipe
        for process in [writer, reader] { process.standardError = FileHandle.nullDevice }
        try reader.run()
        try writer.run()
        // Otherwise neither would notice the end of the other.
        try? pipe.fileHandleForReading.close()
        try? pipe.fileHandleForWriting.close()
    }

    /// Runs the tool to its end, with files as input and output so that neither side can block on a full pipe.
    static func run(_ arguments: [String], input: Data) throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("plinth-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let files = ["in", "out", "err"].map { folder.appendingPathComponent($0) }
        try input.write(to: files[0])
        for file in files[1...] { try Data().write(to: file) }
        let process = try process(arguments)
        process.standardInput = try FileHandle(forReadingFrom: files[0])
        process.standardOutput = try FileHandle(forWritingTo: files[1])
        process.standardError = try FileHandle(forWritingTo: files[2])
        try process.run()
        process.waitUntilExit()
        return Result(
            output: String(decoding: try Data(contentsOf: files[1]), as: UTF8.self),
            errors: String(decoding: try Data(contentsOf: files[2]), as: UTF8.self),
            status: process.terminationStatus
        )
    }

    static func run(_ arguments: [String], input: String) throws -> Result {
        try run(arguments, input: Data(input.utf8))
    }
}

@Suite("The plinth command", .blocking)
struct CommandTests {
    @Test("Decode prints events as JSON lines", arguments: ["1", "3", "65536"])
    func decode(_ readSize: String) throws {
        let result = try Tool.run(
            ["decode", "--read-size", readSize],
            input: "event: e\r\nid: 1\r\ndata: a\r\ndata: é\r\n\r\n: c\n\ndata: unfinished"
        )
        #expect(result.output == #"{"type":"e","data":"a\né","id":"1"}"# + "\n")
        #expect(result.status == 0)
        #expect(result.errors.hasPrefix("plinth decode: the input ends within an event, before its blank line"))
    }

    @Test("Decode escapes terminal controls in its JSON, and encode restores them")
    func controls() throws {
        let stream = "event: \u{9B}31m\ndata: a\u{7F}\u{80}\u{9F}\u{202E}\u{2066}\u{2028}\u{2029}é\u{200F}\n\n"
        let lines = try Tool.run(["decode"], input: stream)
        #expect(
            lines.output
                == #"{"type":"\u009b31m","data":"a\u007f\u0080\u009f\u202e\u2066\u2028\u2029é\#u{200F}","id":null}"#
                + "\n"
        )
        #expect(try Tool.run(["encode"], input: lines.output).output == stream)
    }

    @Test("A full disk and an unreadable input are reported")
    func failingStreams() throws {
        func run(_ command: String) throws -> (errors: String, status: Int32) {
            let shell = Process()
            shell.executableURL = URL(fileURLWithPath: "/bin/sh")
            shell.arguments = ["-c", command, try Product.path("plinth")]
            let errors = Pipe()
            shell.standardError = errors
            try shell.run()
            let text = String(decoding: errors.allOutput(), as: UTF8.self)
            shell.waitUntilExit()
            return (text, shell.terminationStatus)
        }
        let unread = try run("exec \"$0\" decode </")
        #expect(unread.status == 1 && unread.errors.hasPrefix("plinth: cannot read standard input: "), "\(unread)")
        #if os(Linux)
        let full = try run("echo '{\"data\":\"a\"}' | exec \"$0\" encode >/dev/full")
        #expect(full.status == 1 && full.errors.hasPrefix("plinth: cannot write standard output: "), "\(full)")
        #endif
    }

    @Test("Decode with --comments prints comments, and encode restores the stream")
    func comments() throws {
        let stream = ": c\nid: 1\ndata: a\n\nretry: 5\n\n"
        let lines = try Tool.run(["decode", "--comments"], input: stream)
        #expect(lines.status == 0)
        #expect(try Tool.run(["encode"], input: lines.output) == .init(output: stream, errors: "", status: 0))
    }

    @Test("Empty input produces empty output", arguments: ["decode", "encode"])
    func empty(_ command: String) throws {
        #expect(try Tool.run([command], input: "") == .init(output: "", errors: "", status: 0))
    }

    @Test("Encode reports the number of an invalid line, after writing earlier lines")
    func badLine() throws {
        let result = try Tool.run(["encode"], input: "{\"data\":\"a\"}\n{\"dat\":\"b\"}\n{\"data\":\"c\"}\n")
        #expect(
            result
                == .init(
                    output: "data: a\n\n",
                    errors:
                        "plinth encode: line 2: unknown key \"dat\"; known keys: type, data, id, retry, comment\n",
                    status: 1
                )
        )
    }

    @Test("Decode reports the number of a line that is too long, after printing earlier events")
    func tooLarge() throws {
        let result = try Tool.run(["decode", "--maximum-size", "10"], input: "data: a\n\ndata: 0123456789\n\n")
        #expect(result.output == #"{"type":"message","data":"a","id":null}"# + "\n")
        #expect(
            result.errors.hasPrefix("plinth decode: A line is longer than 10 bytes: line 3, which begins at byte 9")
        )
        #expect(result.status == 1)
    }

    @Test(
        "Options out of range are rejected",
        arguments: [["decode", "--read-size", "0"], ["encode", "--maximum-size", "0"]]
    )
    func options(_ arguments: [String]) throws {
        let result = try Tool.run(arguments, input: "")
        #expect(result.status == 64)
        #expect(!result.errors.isEmpty)
    }

    @Test("Decode and encode round-trip megabytes")
    func large() throws {
        let text = String(repeating: "é\"0123456789abcdef\u{1}", count: 200_000)
        let stream = "data: \(text)\ndata: \(text)\n\n" + String(repeating: "event: e\ndata: x\n\n", count: 50_000)
        let lines = try Tool.run(["decode"], input: stream)
        #expect(lines.status == 0)
        let back = try Tool.run(["encode"], input: lines.output)
        #expect(back.status == 0)
        #expect(back.output == stream)
    }

    @Test(
        "Each event is printed at once, while the input stays open",
        arguments: [
            (["decode"], "data: a\n\n", #"{"type":"message","data":"a","id":null}"# + "\n"),
            (["encode"], "{\"data\":\"a\"}\n", "data: a\n\n"),
        ]
    )
    func atOnce(_ arguments: [String], _ input: String, _ output: String) throws {
        let process = try Tool.process(arguments)
        let (standardInput, standardOutput) = (Pipe(), Pipe())
        process.standardInput = standardInput
        process.standardOutput = standardOutput
        try process.run()
        for _ in 0..<3 {
            try standardInput.fileHandleForWriting.write(contentsOf: Data(input.utf8))
            // Blocks until the output arrives; the input is still open.
            var read = ""
            while read.utf8.count < output.utf8.count {
                let data = standardOutput.nextOutput()
                if data.isEmpty { break }
                read += String(decoding: data, as: UTF8.self)
            }
            #expect(read == output)
        }
        try standardInput.fileHandleForWriting.close()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }

    @Test("The command exits with status 0 and no message when its reader closes the pipe")
    func brokenPipe() throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("plinth-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data(String(repeating: "data: 0123456789\n\n", count: 100_000).utf8).write(to: file)
        let process = try Tool.process(["decode"])
        let (output, errors) = (Pipe(), Pipe())
        process.standardInput = try FileHandle(forReadingFrom: file)
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        // The output exceeds a pipe's capacity, so the tool is still running.
        _ = try output.fileHandleForReading.read(upToCount: 10)
        try output.fileHandleForReading.close()
        process.waitUntilExit()
        #expect(process.terminationReason == .exit)
        #expect(process.terminationStatus == 0)
        #expect(errors.allOutput().isEmpty)
    }
}
#endif
