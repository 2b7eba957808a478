// SPDX-License-Identifier: Apache-2.0

#if Command
import Foundation
import PlinthTestSupport
import Testing

@testable import PlinthCLI

/// Tests `plinth new`; `Scripts/test-new.sh` builds and tests the projects that it creates.
@Suite("The command plinth new", .blocking)
struct NewTests {
    /// The root of this package.
    private static let checkout = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

    private func new(_ arguments: [String], in folder: URL) throws -> Tool.Result {
        let process = try Tool.process(["new"] + arguments)
        process.currentDirectoryURL = folder
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        let said = output.allOutput()
        let complaint = errors.allOutput()
        process.waitUntilExit()
        return Tool.Result(
            output: String(decoding: said, as: UTF8.self),
            errors: String(decoding: complaint, as: UTF8.self),
            status: process.terminationStatus
        )
    }

    private func withFolder(_ body: (URL) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("plinth-new-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder)
    }

    @Test("New fills in every placeholder of the templates", arguments: [["--counter"], ["--hub"], []])
    func writes(kind: [String]) throws {
        try withFolder { folder in
            let result = try new(["my-demo_1", "--plinth", Self.checkout] + kind, in: folder)
            #expect(result.status == 0, "\(result.errors)")
            let template = NewTemplate(name: "my-demo_1", isHub: kind == ["--hub"], dependency: "")
            for (path, _) in template.files {
                let text = try String(contentsOf: folder.appendingPathComponent("my-demo_1/\(path)"), encoding: .utf8)
                #expect(!text.isEmpty)
                #expect(!text.contains("{{"), "\(path)")
                #expect(result.output.contains("my-demo_1/\(path)\n"))
            }
            let manifest = try String(
                contentsOf: folder.appendingPathComponent("my-demo_1/Package.swift"),
                encoding: .utf8
            )
            #expect(manifest.contains(".package(name: \"plinth\", path: \"\(Self.checkout)\")"))
        }
    }

    @Test("Existing files are left unchanged")
    func keepsFiles() throws {
        try withFolder { folder in
            let there = folder.appendingPathComponent("demo")
            try FileManager.default.createDirectory(at: there, withIntermediateDirectories: true)
            try Data("mine".utf8).write(to: there.appendingPathComponent("file"))
            let result = try new(["demo", "--plinth", Self.checkout], in: folder)
            #expect(result.status == 1)
            #expect(result.errors.contains("nothing was written"))
            let files = try FileManager.default.contentsOfDirectory(atPath: there.path)
            #expect(files == ["file"])
        }
    }

    @Test(
        "Names that no module can have and folders without Plinth are rejected",
        arguments: [
            ["1st"], ["../demo"], ["de mo"], [""], ["App"], ["plinth"], ["PlinthHub"], ["naïve"],
            ["demo", "--counter", "--hub"], ["demo", "--plinth", "/nowhere"],
            ["demo", "--plinth-url", "https://example.org/plinth"],
        ]
    )
    func refuses(arguments: [String]) throws {
        try withFolder { folder in
            let place = arguments.contains("/nowhere") ? [] : ["--plinth", Self.checkout]
            let result = try new(arguments + place, in: folder)
            #expect(result.status == 64)
            let files = try FileManager.default.contentsOfDirectory(atPath: folder.path)
            #expect(files.isEmpty)
        }
    }
}
#endif
