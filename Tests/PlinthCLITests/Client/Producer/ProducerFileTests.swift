// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import PlinthCLI

@Suite("ProducerFile")
struct ProducerFileTests {
    private func withFolder(_ body: (String) throws -> Void) throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("plinth-producer-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: url) }
        try body(url.path)
    }

    @Test("The last content is read back, and plinth listen --resume-from reads its mark")
    func contents() throws {
        try withFolder { folder in
            let path = folder + "/id"
            for text in ["f-1\n{}\n", "a longer one\n{}\n{}\n", "\n", "x\n"] {
                do {
                    let file = try ProducerFile(path)
                    try file.write(Array("between\n".utf8))
                    try file.write(Array(text.utf8))
                }
                #expect(try ProducerFile(path).content == Array(text.utf8))
                #expect(try ResumeFile(path, isWritten: false).id == text.prefix { $0 != "\n" })
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["id", "id.lock"])
        }
    }

    @Test("The file is replaced, so that one who reads the old one sees a whole content")
    func replaces() throws {
        try withFolder { folder in
            let path = folder + "/id"
            let file = try ProducerFile(path)
            try file.write(Array("old\n".utf8))
            let reader = try #require(FileHandle(forReadingAtPath: path))
            try file.write(Array("new\n".utf8))
            #expect(try reader.readToEnd() == Data("old\n".utf8))
            // A file that a killed process left behind is overwritten.
            try Data("garbage that is longer".utf8).write(to: URL(fileURLWithPath: path + ".new"))
            try file.write(Array("newer\n".utf8))
            #expect(try ResumeFile(path, isWritten: false).id == "newer")
        }
    }

    @Test("A symbolic link stays one")
    func links() throws {
        try withFolder { folder in
            try Data("old\n".utf8).write(to: URL(fileURLWithPath: folder + "/target"))
            try FileManager.default.createSymbolicLink(
                atPath: folder + "/link",
                withDestinationPath: folder + "/target"
            )
            try ProducerFile(folder + "/link").write(Array("new\n".utf8))
            #expect(try ResumeFile(folder + "/target", isWritten: false).id == "new")
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: folder + "/link") == folder + "/target")
        }
    }

    @Test("A second user of the file is rejected until the first has ended")
    func locks() throws {
        try withFolder { folder in
            let path = folder + "/id"
            do {
                let first = try ProducerFile(path)
                let error = #expect(throws: ResumeFile.Failure.self) { try ProducerFile(path) }
                #expect(error?.description.contains("another process uses") == true)
                try first.write(Array("x\n".utf8))
            }
            #expect(try ProducerFile(path).content == Array("x\n".utf8))
        }
    }

    @Test("Folders, pipes, missing folders and long IDs are rejected with the path", .timeLimit(.minutes(1)))
    func others() throws {
        try withFolder { folder in
            try FileManager.default.createDirectory(atPath: folder + "/sub", withIntermediateDirectories: false)
            #expect(mkfifo(folder + "/pipe", 0o600) == 0)
            for path in [folder + "/sub", folder + "/pipe", folder + "/none/id"] {
                let error = #expect(throws: ResumeFile.Failure.self) { try ProducerFile(path) }
                #expect(error?.description.contains(path) == true)
            }
            let file = try ProducerFile(folder + "/id")
            try file.write(Array("kept\n".utf8))
            let long = Array(repeating: UInt8(ascii: "x"), count: 32 * 1024 + 1)
            #expect(throws: ResumeFile.Failure.self) { try file.write(long + [0x0A]) }
            #expect(try ResumeFile(folder + "/id", isWritten: false).id == "kept")
        }
    }

    @Test("A producer's file is not overwritten by a run without a producer")
    func plainRun() throws {
        try withFolder { folder in
            let content = Array("f-1\n{\"producer\":\"p\",\"epoch\":0,\"next\":1}\n".utf8)
            do { try ProducerFile(folder + "/id").write(content) }
            let error = #expect(throws: ResumeFile.Failure.self) { try ResumeFile(folder + "/id") }
            #expect(error?.description.contains("--producer") == true)
            #expect(try ProducerFile(folder + "/id").content == content)
        }
    }
}
