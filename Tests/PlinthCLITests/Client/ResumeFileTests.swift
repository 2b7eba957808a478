// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import PlinthCLI

@Suite("ResumeFile")
struct ResumeFileTests {
    private func withPath(_ body: (String) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("plinth-id-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    private func id(_ path: String, isWritten: Bool = false) throws -> String {
        try ResumeFile(path, isWritten: isWritten).id
    }

    @Test("The last ID written is read back, whatever its length, by this run and the next")
    func lengths() throws {
        try withPath { path in
            for id in ["1", "a longer one", "é", "", "42\ttopic", "x"] {
                let file = try ResumeFile(path)
                try file.write("something in between that is long")
                try file.write(id)
                #expect(file.id == id)
                #expect(try self.id(path) == id)
            }
        }
    }

    @Test("A file to read need not exist; a file to write is created")
    func missing() throws {
        try withPath { path in
            let missing = try id(path)
            #expect(missing.isEmpty)
            #expect(!FileManager.default.fileExists(atPath: path))
            let made = try id(path, isWritten: true)
            #expect(made.isEmpty)
            #expect(FileManager.default.fileExists(atPath: path))
        }
    }

    @Test(
        "A file with other content is rejected and left unchanged",
        arguments: [[0xFF, 0x0A], [0x61, 0, 0x62]]
    )
    func other(bytes: [UInt8]) throws {
        try withPath { path in
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            #expect(throws: ResumeFile.Failure.self) { try id(path, isWritten: true) }
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data(bytes))
        }
    }

    @Test("An ID that is too long is rejected, and the previous one is kept")
    func tooLong() throws {
        try withPath { path in
            let file = try ResumeFile(path)
            let longest = String(repeating: "x", count: 32 * 1024)
            try file.write(longest)
            #expect(throws: ResumeFile.Failure.self) { try file.write(longest + "x") }
            let kept = try id(path)
            #expect(kept == longest)
        }
    }

    @Test("A folder and a path in a missing folder are rejected with the path")
    func folders() throws {
        let folder = FileManager.default.temporaryDirectory.path
        for path in [folder, "/no/such/folder/id"] {
            let error = #expect(throws: ResumeFile.Failure.self) { try id(path, isWritten: true) }
            #expect(error?.description.contains(path) == true)
        }
    }

    @Test("A named pipe and a device are rejected at once", .timeLimit(.minutes(1)))
    func pipes() throws {
        try withPath { path in
            #expect(mkfifo(path, 0o600) == 0)
            for path in [path, "/dev/zero"] {
                for isWritten in [false, true] {
                    let error = #expect(throws: ResumeFile.Failure.self) { try id(path, isWritten: isWritten) }
                    #expect(error?.description.contains("not a regular file") == true)
                }
            }
        }
        #expect(throws: ResumeFile.Failure.self) { try id("/") }
    }
}
