// SPDX-License-Identifier: Apache-2.0

#if Command && Server
import Foundation
import PlinthTestSupport
import Testing

/// A temporary folder for a test's files, removed on deinit.
final class Folder {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("plinth-cli-\(UUID().uuidString)")

    init() throws {
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(at: url)
    }

    func file(_ name: String, _ text: String) throws -> String {
        let file = url.appendingPathComponent(name)
        try text.write(to: file, atomically: true, encoding: .utf8)
        return file.path
    }

    /// Creates a self-signed certificate for 127.0.0.1 and its key.
    func certificate() throws -> (certificate: String, key: String) {
        let (certificate, key) = (url.path + "/certificate.pem", url.path + "/key.pem")
        let openssl = Process()
        openssl.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        openssl.arguments =
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext"
            .split(separator: " ").map(String.init)
            + ["subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate]
        openssl.standardError = FileHandle.nullDevice
        try openssl.run()
        openssl.waitUntilExit()
        return (certificate, key)
    }
}

/// A running `plinth serve` process that has printed its address.
final class HubProcess {
    let process: Process
    let output = Pipe()
    let address: String

    /// Starts a server, by default on a free port.
    init(_ arguments: [String] = [], environment: [String: String] = [:], port: [String] = ["--port", "0"]) throws {
        process = try Tool.process(["serve"] + port + arguments)
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let line = Self.read(output, until: "\n")
        address = String(line.dropFirst("listening on ".count).dropLast())
        try #require(line.hasPrefix("listening on http"), "\(line.debugDescription)")
    }

    deinit {
        if process.isRunning { process.terminate() }
        process.waitUntilExit()
    }

    /// Reads until the text contains `mark` or the pipe ends.
    static func read(_ pipe: Pipe, until mark: String) -> String {
        var text = ""
        while !text.contains(mark) {
            let data = pipe.nextOutput()
            if data.isEmpty { break }
            text += String(decoding: data, as: UTF8.self)
        }
        return text
    }
}
#endif
