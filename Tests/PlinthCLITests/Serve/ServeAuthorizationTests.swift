// SPDX-License-Identifier: Apache-2.0

#if Command && Server && JWT
import Foundation
import PlinthTestSupport
import Testing

/// `plinth serve` with keys, and `plinth token`.
@Suite("The command plinth serve: who may do what", .blocking)
struct ServeAuthorizationTests {
    private func secret(_ folder: Folder) throws -> String {
        let file = try folder.file("secret", "a secret of more than thirty-two bytes\n")
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
        return file
    }

    private func token(_ arguments: String...) throws -> String {
        let result = try Tool.run(["token"] + arguments, input: "")
        #expect(result.status == 0, "\(result.errors)")
        return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// The status and the body of a request.
    private func ask(_ arguments: [String]) throws -> (status: String, body: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/curl")
        process.arguments = ["-s", "-m", "60", "-w", "\n%{http_code}"] + arguments
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let lines = String(decoding: output.allOutput(), as: UTF8.self).split(separator: "\n")
        process.waitUntilExit()
        return (String(lines.last ?? ""), String(lines.first ?? ""))
    }

    @Test("A token of `plinth token` opens what it says, and nothing else")
    func tokens() throws {
        let folder = try Folder()
        let secret = try secret(folder)
        let server = try HubProcess(["--jwt-secret-file", secret])
        let token = try token(
            "--key",
            secret,
            "--subject",
            "shop",
            "--publish-match",
            "orders/*",
            "--subscribe",
            "prices"
        )
        let bearer = ["-H", "Authorization: Bearer \(token)"]
        #expect(try ask(bearer + ["-d", "x", "\(server.address)/topics/orders/7"]).status == "201")
        #expect(try ask(bearer + ["-d", "x", "\(server.address)/topics/orders/7/8"]).status == "403")
        #expect(try ask(bearer + ["\(server.address)/topics/prices?wait=0"]).status == "200")
        #expect(try ask(bearer + ["\(server.address)/topics/orders/7?wait=0"]).status == "403")
        #expect(try ask(bearer + ["\(server.address)/status"]).status == "403")
        #expect(try ask(["\(server.address)/topics/prices?wait=0"]).status == "401")
        #expect(try ask(["\(server.address)/"]).status == "200")
        let session = try ask(bearer + ["\(server.address)/session"]).body
        #expect(session.contains(#""subject":"shop""#))
        #expect(session.contains(#""publish":[{"match":"orders/*"}],"subscribe":["prices"]"#))
    }

    @Test("`plinth token --inspect` says what a token may, and with a server's configuration whether that takes it")
    func inspection() throws {
        let folder = try Folder()
        let secret = try secret(folder)
        let server = try folder.file(
            "serve.json",
            "{\"jwtSecretFile\": \"\(secret)\", \"jwtIssuer\": \"here\", \"jwtAudience\": \"hub\"}"
        )
        let good = try folder.file("good", try token("--as-server", server, "--subject", "eve", "--subscribe", "a"))
        let bad = try folder.file(
            "bad",
            try token("--as-server", server, "--issuer", "elsewhere", "--subject", "eve", "--operate")
        )
        let taken = try Tool.run(["token", "--inspect", "--as-server", server, "--token-file", good], input: "")
        #expect(taken.status == 0)
        #expect(taken.output.contains("subject: eve") && taken.output.contains("this server takes it"))
        let refused = try Tool.run(["token", "--inspect", "--as-server", server, "--token-file", bad], input: "")
        #expect(refused.status == 1)
        #expect(refused.output.contains("token-issuer"))
        #expect(try Tool.run(["token", "--inspect"], input: "nonsense").status == 1)
    }

    @Test("An API key opens what its line says, until the line is gone and SIGHUP comes")
    func keys() throws {
        let folder = try Folder()
        let (first, second) = (String(repeating: "a", count: 40), String(repeating: "b", count: 40))
        let file = try folder.file("keys", "\(first) {\"subject\":\"one\",\"subscribe\":[{\"match\":\"**\"}]}\n")
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
        let server = try HubProcess(["--api-keys", file])
        let stream = Process()
        stream.executableURL = URL(fileURLWithPath: "/usr/bin/curl")
        stream.arguments = ["-sN", "-m", "60", "-H", "Authorization: Bearer \(first)", "\(server.address)/topics/a"]
        let output = Pipe()
        stream.standardOutput = output
        try stream.run()
        #expect(HubProcess.read(output, until: ":\n").hasPrefix(":\n"))
        try Data("\(second) {\"subject\":\"two\",\"publish\":[\"a\"]}\n".utf8)
            .write(to: URL(fileURLWithPath: file), options: [])
        kill(server.process.processIdentifier, SIGHUP)
        // Its stream ends properly: 18 would mean a truncated body.
        stream.waitUntilExit()
        #expect(stream.terminationStatus == 0)
        let url = "\(server.address)/topics/a"
        #expect(try ask(["-H", "Authorization: Bearer \(first)", "\(url)?wait=0"]).status == "401")
        #expect(try ask(["-H", "Authorization: Bearer \(second)", "-d", "x", url]).status == "201")
    }

    @Test("A hub for everybody does not start where other machines reach it, unless that is said in words")
    func everybody() throws {
        let result = try Tool.run(["serve", "--host", "0.0.0.0", "--port", "0"], input: "")
        #expect(result.status == 64)
        #expect(result.errors.contains("--allow-anonymous") && result.output.isEmpty)
        let server = try HubProcess(["--host", "0.0.0.0", "--allow-anonymous", "subscribe"])
        let address = server.address.replacing("0.0.0.0", with: "127.0.0.1")
        #expect(try ask(["\(address)/topics/a?wait=0"]).status == "200")
        #expect(try ask(["-d", "x", "\(address)/topics/a"]).status == "401")
        #expect(try ask(["\(address)/status"]).status == "401")
    }

    @Test("A setting that cannot be used is refused by its name")
    func badSettings() throws {
        let folder = try Folder()
        let secret = try secret(folder)
        let short = try folder.file("short", "too short")
        let open = try folder.file("open", "a secret of more than thirty-two bytes\n")
        for file in [short] {
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
        }
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: open)
        let cases: [([String], String)] = [
            (["--jwt-secret-file", short], "--jwt-secret-file"), (["--jwt-secret-file", open], "chmod"),
            (["--jwt-secret-file", "/nonexistent"], "/nonexistent"),
            (["--jwt-secret-file", secret, "--jwt-key", secret], "exclude each other"),
            (["--jwt-key", secret], "--jwt-key"),
            (["--jwks", "http://localhost/keys", "--jwt-issuer", "i", "--jwt-audience", "a"], "only https"),
            (["--jwks", "https://localhost/keys", "--jwt-issuer", "i"], "--jwt-audience"),
            (["--jwt-secret-file", secret, "--jwt-issuer", ""], "--jwt-issuer"),
            (["--jwt-issuer", "x"], "--jwt-issuer requires"), (["--cookie", "x"], "--cookie requires"),
            (["--jwt-secret-file", secret, "--jwt-leeway", "6m"], "leeway"),
            (["--jwt-secret-file", secret, "--jwt-algorithm", "none"], "--jwt-algorithm"),
            (["--jwt-secret-file", secret, "--cookie", "a b"], "--cookie"),
            (["--allow-origin", "*"], "--allow-origin"), (["--allow-anonymous", "everything"], "--allow-anonymous"),
            (["--api-keys", open], "chmod"), (["--api-keys", secret], "line 1"),
        ]
        for (arguments, part) in cases {
            let result = try Tool.run(["serve", "--port", "0"] + arguments, input: "")
            #expect(result.status == 64, "\(arguments): \(result.errors)")
            #expect(result.errors.contains(part), "\(arguments): \(result.errors)")
        }
    }
}
#endif
