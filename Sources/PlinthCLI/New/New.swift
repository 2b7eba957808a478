// SPDX-License-Identifier: Apache-2.0

#if Command
import ArgumentParser
import Foundation

/// `plinth new`: creates a starter project.
struct New: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Create a small project: a service with event streams, an executable and tests.",
        discussion: """
            Try it:

              plinth new --counter demo --plinth ../plinth
              cd demo
              swift run
              swift test

            --counter (the default) creates a counting stream and a page that shows it; --hub creates a hub of topics \
            with its page. The folder NAME must be empty or not exist.
            """
    )

    @Argument(help: "The name of the project and its folder: a letter, then letters, digits, - and _.")
    var name: String

    @Flag(help: "Create a counting stream and a page that shows it (the default).")
    var counter = false

    @Flag(help: "Create a hub of topics with its page.")
    var hub = false

    @Option(help: ArgumentHelp("Depend on the checkout of Plinth in this folder.", valueName: "folder"))
    var plinth: String?

    @Option(help: ArgumentHelp("Depend on the branch main of this Plinth repository.", valueName: "url"))
    var plinthURL: String?

    func validate() throws {
        if counter, hub { throw ValidationError("--counter and --hub are mutually exclusive.") }
        if (plinth == nil) == (plinthURL == nil) {
            throw ValidationError("Give either --plinth FOLDER, a checkout of Plinth, or --plinth-url URL.")
        }
        guard let first = name.utf8.first, Self.isLetter(first),
            name.utf8.allSatisfy({ Self.isLetter($0) || (0x30...0x39).contains($0) || $0 == 0x2D || $0 == 0x5F })
        else { throw ValidationError("The name must be a letter, then letters, digits, - and _: \(name)") }
        guard !["app", "apptests", "plinth"].contains(name.lowercased()), !name.hasPrefix("Plinth") else {
            throw ValidationError("The name \(name) is already used by a module of the project or of Plinth.")
        }
        if let plinth, !FileManager.default.fileExists(atPath: plinth + "/Sources/PlinthServer") {
            throw ValidationError("--plinth is not a checkout of Plinth, as it has no Sources/PlinthServer: \(plinth)")
        }
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte | 0x20) }

    func run() throws {
        let files = FileManager.default
        let folder = URL(fileURLWithPath: name)
        if let there = try? files.contentsOfDirectory(atPath: folder.path), !there.isEmpty {
            StandardStreams.complain("plinth new: the folder \(name) is not empty; nothing was written")
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
