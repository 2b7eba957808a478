// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import PlinthCLI

@Suite("BearerToken and TokenFile")
struct TokenFileTests {
    private func withPath(_ body: (String) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("plinth-token-\(UUID().uuidString)")
            .path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    private func write(_ bytes: some Sequence<UInt8>, to path: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: path), options: .atomic)
    }

    private func write(_ text: String, to path: String) throws { try write(text.utf8, to: path) }

    @Test(
        "A token is taken without the white space around it",
        arguments: ["abc", "abc\n", "abc\r\n", " \t\n abc \n\n", "abc\u{0B}\u{0C}"]
    )
    func whiteSpace(text: String) throws {
        #expect(try BearerToken(text.utf8).authorization == "Bearer abc")
    }

    @Test("A token may have every visible ASCII character")
    func visible() throws {
        let text = String(decoding: Array(0x21...0x7E), as: UTF8.self)
        #expect(try BearerToken(text.utf8).authorization == "Bearer " + text)
    }

    @Test(
        "Other text is rejected with the reason",
        arguments: [
            ("", "is empty"), (" \r\n\t", "is empty"), ("secret\nsecret", "has several lines"),
            ("secret\r\n\r\nsecret\n", "has several lines"), ("secret\rsecret", "has several lines"),
            ("Bearer secret", "more than a token"), ("secret\tsecret", "more than a token"),
            ("sec\u{0}ret", "more than a token"), ("secret\u{7F}", "more than a token"),
            ("secrét", "more than a token"), ("\u{FEFF}secret", "more than a token"),
        ]
    )
    func invalid(text: String, reason: String) throws {
        try withPath { path in
            try write(text, to: path)
            let failure = try #require(throws: TokenFile.Failure.self) { try TokenFile(path).read() }
            #expect(failure.description.contains(path) && failure.description.contains(reason), "\(failure)")
            #expect(!failure.description.contains("sec"), "\(failure)")
        }
    }

    @Test("A file may have 64 KiB, and not a byte more")
    func size() throws {
        try withPath { path in
            let token = Array(repeating: UInt8(ascii: "t"), count: 65_535)
            try write(token + [0x0A], to: path)
            #expect(try TokenFile(path).read() == BearerToken(token))
            try write(token + [0x0A, 0x0A], to: path)
            let failure = try #require(throws: TokenFile.Failure.self) { try TokenFile(path).read() }
            #expect(failure.description.hasSuffix("is larger than 65536 bytes"), "\(failure.description.suffix(60))")
        }
    }

    @Test("Each reading returns the token that the file holds then, and renewal is seen between two")
    func renewal() throws {
        try withPath { path in
            let file = TokenFile(path)
            #expect(throws: TokenFile.Failure.self) { try file.read() }
            try write("first", to: path)
            #expect(try file.read() == BearerToken("first".utf8))
            #expect(!file.isRenewed())
            // The same token in other white space.
            try write("first\n", to: path)
            #expect(!file.isRenewed())
            try write("second", to: path)
            #expect(file.isRenewed())
            #expect(file.isRenewed())
            #expect(try file.read() == BearerToken("second".utf8))
            #expect(!file.isRenewed())
            // While it is being written, it holds no other token.
            try write("", to: path)
            #expect(!file.isRenewed())
            try FileManager.default.removeItem(atPath: path)
            #expect(!file.isRenewed())
        }
    }

    @Test("A missing file, a folder and a named pipe are rejected without waiting")
    func otherFiles() throws {
        try withPath { path in
            for expected in ["cannot be opened: No such file", "is not a regular file", "is not a regular file"] {
                let failure = try #require(throws: TokenFile.Failure.self) { try TokenFile(path).read() }
                #expect(failure.description.hasPrefix("the token file \(path) \(expected)"), "\(failure)")
                try? FileManager.default.removeItem(atPath: path)
                if expected.hasPrefix("cannot") {
                    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
                } else {
                    #expect(mkfifo(path, 0o600) == 0)
                }
            }
        }
    }
}
