// SPDX-License-Identifier: Apache-2.0

#if Command
import ArgumentParser
import Foundation

/// `plinth new`: a small project to begin with.
struct New: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a small project: a service with event streams, its program and its tests.",
        discussion: """
            Try it:

              plinth new --counter demo --plinth ../plinth
              cd demo
              swift run
              swift test

            With --counter, the default, a stream that counts and a page that shows it; with --hub a hub of topics with \
            its page. The folder NAME must not be there yet, or be empty.
            """
    )

    @Argument(help: "The name of the project, and of its folder: letters, digits, - and _, beginning with a letter.")
    var name: String

    @Flag(help: "A stream that counts, and a page that shows it (the default).")
    var counter = false

    @Flag(help: "A hub of topics, with its page.")
    var hub = false

    @Option(help: ArgumentHelp("Take Plinth from this folder: a checkout of it.", valueName: "folder"))
    var plinth: String?

    @Option(help: ArgumentHelp("Take Plinth from this repository, its branch main.", valueName: "url"))
    var plinthURL: String?

    func validate() throws {
        if counter, hub { throw ValidationError("--counter and --hub exclude each other.") }
        if (plinth == nil) == (plinthURL == nil) {
            throw ValidationError("Say where Plinth is: --plinth FOLDER, a checkout of it, or --plinth-url URL.")
        }
        guard let first = name.utf8.first, Self.isLetter(first),
            name.utf8.allSatisfy({ Self.isLetter($0) || (0x30...0x39).contains($0) || $0 == 0x2D || $0 == 0x5F })
        else { throw ValidationError("The name has letters, digits, - and _, and begins with a letter: \(name)") }
        guard !["app", "apptests", "plinth"].contains(name.lowercased()), !name.hasPrefix("Plinth") else {
            throw ValidationError("The name \(name) is taken by a part of the project, or of Plinth.")
        }
        if let plinth, !FileManager.default.fileExists(atPath: plinth + "/Sources/PlinthServer") {
            throw ValidationError("--plinth is no checkout of Plinth, it has no Sources/PlinthServer: \(plinth)")
        }
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte | 0x20) }

    func run() throws {
        let files = FileManager.default
        let folder = URL(fileURLWithPath: name)
        if let there = try? files.contentsOfDirectory(atPath: folder.path), !there.isEmpty {
            StandardStreams.complain("plinth new: the folder \(name) is there and is not empty; nothing was written")
            throw ExitCode(1)
        }
        let template = NewTemplate(name: name, isHub: hub, dependency: dependency)
        do {
            for (path, text) in template.files {
                let file = folder.appendingPathComponent(path)
                try files.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
                try Data(text.utf8).write(to: file)
                StandardStreams.say("\(name)/\(path)")
            }
        } catch {
            StandardStreams.complain("plinth new: \(error)")
            throw ExitCode(1)
        }
        StandardStreams.say("")
        StandardStreams.say("next: cd \(name) && swift run")
    }

    private var dependency: String {
        if let plinth {
            let path = URL(fileURLWithPath: plinth).standardizedFileURL.path
            return ".package(name: \"plinth\", path: \(path.debugDescription))"
        }
        return ".package(url: \((plinthURL ?? "").debugDescription), branch: \"main\")"
    }
}
#endif
