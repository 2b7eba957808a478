// SPDX-License-Identifier: Apache-2.0

#if Command && Server
import PlinthTestSupport
import Foundation
import Testing

/// Runs `plinth serve` as a process and sends it requests with curl.
@Suite("The command plinth serve", .blocking)
struct ServeTests {
    private typealias Server = HubProcess

    private static func curl(_ arguments: [String]) throws -> (process: Process, output: Pipe) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/curl")
        process.arguments = ["-sk", "-m", "60"] + arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardInput = FileHandle.nullDevice
        try process.run()
        return (process, output)
    }

    private func ask(_ arguments: String...) throws -> String {
        let (process, output) = try Self.curl(arguments)
        let data = output.allOutput()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "curl \(arguments)")
        return String(decoding: data, as: UTF8.self)
    }

    /// The status of the response.
    private func status(_ arguments: String...) throws -> String { try status(arguments) }

    private func status(_ arguments: [String]) throws -> String {
        let (process, output) = try Self.curl(["-o", "/dev/null", "-w", "%{http_code}"] + arguments)
        let data = output.allOutput()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self)
    }

    /// The number of events that a server keeps of five published to a topic.
    private func kept(_ server: Server, base: String = "") throws -> String {
        for number in 1...5 { _ = try ask("-d", "\(number)", "\(server.address)/topics/a") }
        let status = try ask("\(server.address)/status")
        return String(status.components(separatedBy: "\"events\":").last?.prefix { $0.isNumber } ?? "")
    }

    /// Runs a server that is expected to fail at startup.
    private func fails(_ arguments: [String], environment: [String: String] = [:]) throws -> Tool.Result {
        let process = try Tool.process(["serve"] + arguments)
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        // A server that does start would run forever.
        let said = HubProcess.read(output, until: "\n")
        if !said.isEmpty { process.terminate() }
        let complaint = errors.allOutput()
        process.waitUntilExit()
        return Tool.Result(
            output: said,
            errors: String(decoding: complaint, as: UTF8.self),
            status: process.terminationStatus
        )
    }

    @Test("With port 0 the server prints a free port, on which clients publish and subscribe")
    func serves() throws {
        let server = try Server()
        let port = try #require(Int(server.address.dropFirst("http://127.0.0.1:".count)))
        #expect(server.address == "http://127.0.0.1:\(port)")
        #expect(port > 0)
        #expect(try ask("-d", "hello", "\(server.address)/topics/news").hasPrefix("{\"id\":\""))
        let (curl, output) = try Self.curl(["-N", "\(server.address)/topics/news?last-event-id=earliest"])
        #expect(HubProcess.read(output, until: "id: ").contains("data: hello\n"))
        kill(curl.processIdentifier, SIGKILL)
        curl.waitUntilExit()
        #expect(try ask("\(server.address)/").contains("<!doctype html>"))
    }

    @Test("SIGTERM and SIGINT end open streams properly, with exit status 0", arguments: [SIGTERM, SIGINT])
    func stops(signal: Int32) throws {
        let server = try Server()
        let streams = try (0..<3).map { _ in try Self.curl(["-N", "\(server.address)/topics/a"]) }
        for (_, output) in streams { #expect(HubProcess.read(output, until: ":\n").hasPrefix(":\n")) }
        _ = try ask("-d", "x", "\(server.address)/topics/a")
        for (_, output) in streams { #expect(HubProcess.read(output, until: "\n\n").contains("data: x\n")) }
        kill(server.process.processIdentifier, signal)
        server.process.waitUntilExit()
        #expect(server.process.terminationReason == .exit)
        #expect(server.process.terminationStatus == 0)
        for (curl, _) in streams {
            curl.waitUntilExit()
            // 18 would mean a truncated body.
            #expect(curl.terminationStatus == 0)
        }
    }

    @Test("The command line overrides the environment, which overrides the file")
    func precedence() throws {
        let folder = try Folder()
        let file = try folder.file("serve.json", #"{"topicEvents": 3, "port": 0}"#)
        let environment = ["PLINTH_TOPIC_EVENTS": "2"]
        #expect(try kept(Server()) == "5")
        #expect(try kept(Server(["--config", file], port: [])) == "3")
        #expect(try kept(Server(["--config", file], environment: environment, port: [])) == "2")
        #expect(try kept(Server(["--config", file, "--topic-events", "1"], environment: environment, port: [])) == "1")
        #expect(try kept(Server(["--topic-events", "4"], environment: environment)) == "4")
        #expect(try kept(Server(environment: ["PLINTH_TOPIC_EVENTS": "1", "PLINTH_PORT": "0"], port: [])) == "1")
    }

    @Test("Every option works on the command line, in the environment and in the file")
    func everyOption() throws {
        let options = [
            ("topic-events", "100"), ("topic-bytes", "1000000"), ("history-events", "1000"),
            ("history-bytes", "10000000"), ("history-age", "1h"), ("maximum-event-size", "1000"),
            ("maximum-streams", "10"), ("maximum-topics", "5"), ("maximum-patterns", "3"), ("heartbeat", "off"),
            ("write-timeout", "90s"), ("maximum-age", "7d"),
            ("retry", "250ms-250ms"), ("maximum-retry", "20s"), ("heartbeat-event", "tick"),
            ("allow-host", "hub.internal,other.internal"), ("public-origin", "https://hub.example"), ("gaps", "close"),
            ("gap-type", "lost"), ("transport", "event-loops"),
            ("reactors", "2"),
            ("log-level", "error"), ("host", "127.0.0.1"), ("base-path", "/hub"),
        ]
        func check(_ server: Server) throws {
            #expect(server.address.hasSuffix("/hub"))
            let (curl, output) = try Self.curl(["-N", "\(server.address)/topics/a"])
            #expect(HubProcess.read(output, until: "id: ").contains("retry: 250\n"))
            _ = try ask("-d", "x", "\(server.address)/topics/a?retry=9999999")
            #expect(HubProcess.read(output, until: "data: x").contains("retry: 20000\n"))
            let settings = try ask("\(server.address)/hub.json")
            #expect(settings == "{\"gapType\":\"lost\",\"heartbeatEvent\":\"tick\"}\n")
            for host in ["hub.internal", "other.internal:1", "hub.example", "localhost"] {
                #expect(try status("-H", "Host: \(host)", "\(server.address)/status") == "200", "\(host)")
            }
            #expect(try status("-H", "Host: evil.example", "\(server.address)/status") == "421")
            let foreign = ["-H", "Origin: http://localhost", "-H", "Host: localhost"]
            #expect(try status(foreign + ["-d", "x", "\(server.address)/topics/a"]) == "403")
            kill(curl.processIdentifier, SIGKILL)
            curl.waitUntilExit()
            let reserved = try ask("-d", "x", "\(server.address)/topics/a?type=lost")
            #expect(reserved.contains("\"code\":\"type-reserved\""), "\(reserved)")
            #expect(try ask("\(server.address)/topics?match=a&match=b&match=c&match=d").contains("at most 3 patterns"))
            let many = (0...5).map { "topic=\($0)" }.joined(separator: "&")
            #expect(try ask("\(server.address)/topics?\(many)").contains("at most 5 topics"))
            let large = String(repeating: "x", count: 1001)
            #expect(try ask("-d", large, "-w", "%{http_code}", "\(server.address)/topics/a").hasSuffix("413"))
            #expect(try ask("-w", "%{http_code}", server.address).hasSuffix("308"))
            #expect(try ask("-L", server.address).contains("<!doctype html>"))
        }
        try check(Server(options.flatMap { ["--\($0.0)", $0.1] }))
        let variables = options.map { name, value in
            ("PLINTH_" + name.uppercased().replacingOccurrences(of: "-", with: "_"), value)
        }
        try check(Server(environment: Dictionary(uniqueKeysWithValues: variables)))
        let folder = try Folder()
        let members = options.map { name, value in
            let words = name.split(separator: "-")
            let key = words[0] + words.dropFirst().map(\.capitalized).joined()
            return "\"\(key)\": " + (Int(value) == nil ? "\"\(value)\"" : value)
        }
        let file = try folder.file("all.json", "{\(members.joined(separator: ", "))}")
        try check(Server(["--config", file]))
    }

    @Test(
        "An invalid value exits with status 64 and a message that names the option",
        arguments: [
            ("port", "70000"), ("port", "http"), ("topic-events", "many"), ("history-bytes", "1.5"),
            ("maximum-event-size", "0"), ("heartbeat", "soon"), ("heartbeat", "5 s"), ("history-age", "1y"),
            ("write-timeout", "99999999999999999999"), ("maximum-age", "9223372036854775807d"), ("gaps", "ignore"),
            ("transport", "pigeon"), ("reactors", "0"), ("log-level", "loud"), ("base-path", "hub"),
            ("base-path", "/:id"), ("maximum-streams", "-5"), ("retry", ""),
            ("retry", "4s-2s"), ("retry", "off"), ("retry", "2s-"), ("maximum-retry", "off"), ("maximum-retry", "soon"),
            ("heartbeat-event", "gap"), ("heartbeat-event", "message"), ("allow-host", "http://hub"),
            ("public-origin", "hub.example"), ("public-origin", "https://hub.example/path"), ("gap-type", "message"),
            ("gap-type", "a\nb"),
            ("maximum-topics", "0"), ("maximum-patterns", "many"),
        ]
    )
    func badValues(name: String, value: String) throws {
        let flag = try fails(["--port", "0", "--\(name)=\(value)"])
        #expect(flag.status == 64)
        #expect(flag.errors.contains("--\(name)"), "\(flag.errors)")
        #expect(flag.output.isEmpty)
        let variable = "PLINTH_" + name.uppercased().replacingOccurrences(of: "-", with: "_")
        let environment = try fails(name == "port" ? [] : ["--port", "0"], environment: [variable: value])
        #expect(environment.status == 64)
        #expect(environment.errors.contains("--\(name)"), "\(environment.errors)")
    }

    @Test("An unknown option exits with status 64")
    func unknownOption() throws {
        #expect(try fails(["--prot", "0"]).status == 64)
    }

    @Test(
        "A value of the wrong type in the file exits with status 64",
        arguments: [
            (#"{"port": 80.5}"#, "--port"), (#"{"port": 0, "gaps": 1}"#, "--gaps"),
            (#"{"port": 0, "heartbeat": -1}"#, "--heartbeat"), ("{\"port\": 0,\n \"reactors\": true}", "line 2: "),
            (#"{"port": false}"#, "\"port\" is false"), (#"{"port": null}"#, "omit the key"),
            (#"{"port": 0, "gaps": {"gaps": "close"}}"#, "is an object"), (#"{"port": [0]}"#, "a string"),
            (#"{"port": ["0"]}"#, "--port (line 1 of "), (#"{"port": 0, "host": 1}"#, "--host (line 1 of "),
            (#"{"port": 0, "port": 1}"#, "twice"), ("[]", "not a JSON object"), ("", "not a JSON object"),
            ("{\"port\": 0}\n\n}", "line 3: expected the end of the file"),
            (#"{"port": 1.2.3}"#, "1.2.3 is not a number"),
        ]
    )
    func badFileValues(text: String, name: String) throws {
        let folder = try Folder()
        let result = try fails(["--config", try folder.file("bad.json", text)])
        #expect(result.status == 64)
        #expect(result.errors.contains(name), "\(result.errors)")
    }

    @Test("A missing or malformed file exits with status 64 and a message that names the file")
    func badFiles() throws {
        let folder = try Folder()
        let missing = folder.url.appendingPathComponent("missing.json").path
        let broken = try folder.file("broken.json", "{\"port\": ")
        for file in [missing, broken, folder.url.path] {
            let result = try fails(["--port", "0", "--config", file])
            #expect(result.status == 64)
            #expect(result.errors.contains(file), "\(result.errors)")
        }
    }

    @Test(
        "An unknown key in the file exits with status 64, its line and a suggestion",
        arguments: [
            ("{\n\n\"historyByte\": 5}", "line 3: unknown key \"historyByte\"; did you mean \"historyBytes\"?"),
            (#"{"history-bytes": 5}"#, "did you mean \"historyBytes\"?"), (#"{"prot": 5}"#, "did you mean \"port\"?"),
            (#"{"colour": "red"}"#, "known keys: allowAnonymous, allowHost, allowOrigin, "),
            (#"{"\u001b[31m": "red"}"#, "unknown key \"\\u001b[31m\""),
            (#"{"config": "other"}"#, "unknown key \"config\""),
        ]
    )
    func unknownKeys(text: String, message: String) throws {
        let folder = try Folder()
        let file = try folder.file("serve.json", text)
        let result = try fails(["--port", "0", "--config", file])
        #expect(result.status == 64)
        #expect(result.errors.contains(file) && result.errors.contains(message), "\(result.errors)")
    }

    @Test("An endless file is rejected; a pipe and a file named by the environment are accepted")
    func otherFiles() throws {
        #expect(try fails(["--port", "0", "--config", "/dev/zero"]).errors.contains("larger than"))
        let folder = try Folder()
        let file = try folder.file("serve.json", "\u{FEFF}{\"port\": 0, \"topicEvents\": 3}")
        #expect(try kept(Server(environment: ["PLINTH_CONFIG": file], port: [])) == "3")
        let pipe = folder.url.appendingPathComponent("pipe").path
        #expect(mkfifo(pipe, 0o600) == 0)
        let writer = Process()
        writer.executableURL = URL(fileURLWithPath: "/bin/sh")
        writer.arguments = ["-c", "cat \"$0\" > \"$1\"", file, pipe]
        try writer.run()
        #expect(try kept(Server(["--config", pipe], port: [])) == "3")
        writer.waitUntilExit()
    }

    @Test("An unknown PLINTH_ variable is reported with a suggestion, and the hub starts")
    func unknownVariables() throws {
        let environment = ["PLINTH_HISTROY_BYTES": "5", "PLINTH_PORT_8080_TCP": "tcp://10.0.0.1:8080"]
        let process = try Tool.process(["serve", "--port", "0"])
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        #expect(HubProcess.read(output, until: "\n").hasPrefix("listening on "))
        process.terminate()
        process.waitUntilExit()
        let said = String(decoding: errors.allOutput(), as: UTF8.self)
        #expect(said.contains("PLINTH_HISTROY_BYTES, which is not a setting"), "\(said)")
        #expect(said.contains("did you mean PLINTH_HISTORY_BYTES?") && said.contains("PLINTH_PORT_8080_TCP"))
        let wrong = try fails([], environment: ["PLINTH_PORT": "tcp://10.0.0.1:8080"])
        #expect(wrong.errors.contains("--port (PLINTH_PORT) is not an integer"), "\(wrong.errors)")
    }

    @Test("A hub serves even if its standard output has no reader")
    func closedOutput() throws {
        let port = try LoopbackPort.free()
        let process = try Tool.process(["serve", "--port", "\(port)", "--log-level", "error"])
        let output = Pipe()
        process.standardOutput = output
        try output.fileHandleForReading.close()
        try process.run()
        let address = "http://127.0.0.1:\(port)"
        #expect(
            try ask("--retry", "50", "--retry-connrefused", "--retry-delay", "0", "\(address)/status").hasPrefix("{")
        )
        #expect(process.isRunning)
        process.terminate()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }

    @Test("A certificate without its key and a missing certificate prevent startup")
    func certificates() throws {
        let alone = try fails(["--port", "0", "--tls-certificate", "chain.pem"])
        #expect(alone.status == 64)
        #expect(alone.errors.contains("--tls-key"), "\(alone.errors)")
        let missing = try fails(["--port", "0", "--tls-certificate", "/no/chain.pem", "--tls-key", "/no/key.pem"])
        #expect(missing.status != 0)
        #expect(missing.errors.contains("/no/"), "\(missing.errors)")
    }

    @Test("An unknown minimum TLS version, or one without TLS, exits with status 64")
    func badMinimumVersion() throws {
        for arguments in [["--tls-minimum", "1.1"], ["--tls-minimum", "1.3"]] {
            let result = try fails(["--port", "0"] + arguments)
            #expect(result.status == 64)
            #expect(result.errors.contains("--tls-minimum"), "\(result.errors)")
        }
    }

    @Test("TLS 1.2 clients are served unless --tls-minimum is 1.3", arguments: [true, false])
    func minimumVersion(isGiven: Bool) async throws {
        let folder = try Folder()
        let certificate = try folder.file("certificate.pem", "")
        let key = try folder.file("key.pem", "")
        let made = try await ChildProcess.run(
            "openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj",
                "/CN=localhost", "-keyout", key, "-out", certificate,
            ]
        )
        try #require(made.status == 0, "\(made.errors)")
        let server = try Server(
            ["--tls-certificate", certificate, "--tls-key", key] + (isGiven ? ["--tls-minimum", "1.3"] : [])
        )
        for (version, isServed) in [("-tls1_1", false), ("-tls1_2", !isGiven), ("-tls1_3", true)] {
            let client = try await ChildProcess.run(
                "openssl",
                [
                    "s_client", version, "-cipher", "DEFAULT@SECLEVEL=0", "-connect",
                    "\(server.address.dropFirst("https://".count))",
                ]
            )
            #expect((client.status == 0) == isServed, "\(version): \(client.errors)")
        }
    }

    @Test("A port in use exits with status 1 and a message")
    func portInUse() throws {
        let server = try Server()
        let port = String(server.address.dropFirst("http://127.0.0.1:".count))
        let result = try fails(["--port", port])
        #expect(result.status == 1)
        #expect(result.errors.contains("plinth serve: "))
        #expect(result.errors.contains(port), "\(result.errors)")
        #expect(result.errors.contains("in use"), "\(result.errors)")
    }

    @Test("Several hosts and origins are given by repeated options or by an array in the file")
    func lists() throws {
        func check(_ server: Server) throws {
            for host in ["a.internal", "b.internal", "c.example", "d.example"] {
                #expect(try status("-H", "Host: \(host)", "\(server.address)/status") == "200", "\(host)")
            }
        }
        try check(
            Server([
                "--allow-host", "a.internal", "--allow-host", "b.internal", "--public-origin", "https://c.example",
                "--public-origin", "http://d.example:8080",
            ])
        )
        let folder = try Folder()
        let file = try folder.file(
            "lists.json",
            #"{"allowHost": ["a.internal", "b.internal"], "publicOrigin": ["https://c.example", "http://d.example:8080"]}"#
        )
        try check(Server(["--config", file]))
    }

    @Test("On a loopback address foreign pages are rejected, both by host name and by origin")
    func fence() throws {
        let server = try Server()
        let topic = "\(server.address)/topics/a"
        let own = String(server.address.dropFirst("http://".count))
        for host in ["localhost", "localhost:1", "hub.localhost:8080", "127.0.0.1", "[::1]:8080", own] {
            #expect(try status("-H", "Host: \(host)", "\(server.address)/status") == "200", "\(host)")
            #expect(try status("-H", "Host: \(host)", "-d", "x", topic) == "201", "\(host)")
            #expect(
                try status("-H", "Host: \(host)", "-H", "Origin: http://\(host)", "-d", "x", topic) == "201",
                "\(host)"
            )
            let foreign = ["-H", "Host: \(host)", "-H", "Origin: http://evil.example", "-d", "x", topic]
            #expect(try status(foreign) == "403", "\(host)")
            #expect(try status("-H", "Host: \(host)", "-H", "Sec-Fetch-Site: cross-site", "-d", "x", topic) == "403")
        }
        for path in ["/", "/status", "/topics/a", "/hub-worker.js", "/nothing"] {
            #expect(try status("-H", "Host: evil.example", server.address + path) == "421", "\(path)")
        }
        let answer = try ask("-H", "Host: evil.example", "-d", "x", topic)
        #expect(answer.contains("\"code\":\"host-foreign\""), "\(answer)")
        #expect(answer.contains("--allow-host") && answer.contains("--public-origin"), "\(answer)")
        // Every browser sends Host, so a request without it is not from a page.
        #expect(try status("-0", "-H", "Host:", "-H", "Origin: http://evil.example", "-d", "x", topic) == "201")
    }

    @Test("Only a loopback address has the fence, which accepts localhost and loopback addresses")
    func hosts() throws {
        let open = try Server(["--host", "0.0.0.0", "--allow-anonymous", "all"])
        let port = open.address.split(separator: ":").last ?? ""
        #expect(try status("-H", "Host: evil.example", "http://127.0.0.1:\(port)/topics/a?wait=0") == "200")
        let fenced = try Server(["--allow-anonymous", "all"])
        #expect(try status("-H", "Host: evil.example", "\(fenced.address)/topics/a?wait=0") == "421")
        let named = try Server(["--host", "localhost"])
        #expect(try status("\(named.address)/status") == "200")
        #expect(try status("-H", "Host: evil.example", "\(named.address)/status") == "421")
        let other = try Server(["--host", "127.0.0.9"])
        #expect(try status("-H", "Host: 127.0.0.9", "\(other.address)/status") == "200")
    }

    @Test("Over HTTP/2 the fence checks the authority")
    func fenceOverHTTP2() throws {
        let server = try Server()
        let arguments = ["--http2-prior-knowledge", "\(server.address)/status"]
        #expect(try status(arguments) == "200")
        #expect(try status(["-H", "Host: evil.example"] + arguments) == "421")
    }

    @Test("Behind nginx the public origin passes the fence, whether or not nginx forwards the host")
    func fenceBehindProxy() async throws {
        for passesHost in [true, false] {
            let port = try LoopbackPort.free()
            let header = passesHost ? "proxy_set_header Host $host;" : ""
            let nginx = try await Nginx(
                "location / { proxy_pass http://127.0.0.1:\(port); proxy_http_version 1.1; \(header) }"
            )
            let topic = "http://127.0.0.1:\(nginx.port)/topics/a"
            let page = ["-H", "Host: hub.example", "-H", "Origin: https://hub.example", "-d", "x", topic]
            func check(_ options: [String], read: String, published: String, byPage: String) throws {
                let server = try Server(options, port: ["--port", "\(port)"])
                #expect(try status("-H", "Host: hub.example", topic, "-I") == read, "\(passesHost) \(options)")
                #expect(
                    try status("-H", "Host: hub.example", "-d", "x", topic) == published,
                    "\(passesHost) \(options)"
                )
                #expect(try status(page) == byPage, "\(passesHost) \(options)")
                withExtendedLifetime(server) {}
            }
            // A host that nginx forwards is foreign. Otherwise nginx sends its own, and the page is foreign.
            try check(
                [],
                read: passesHost ? "421" : "200",
                published: passesHost ? "421" : "201",
                byPage: passesHost ? "421" : "403"
            )
            let allowed = ["--allow-host", "hub.example"]
            try check(allowed, read: "200", published: "201", byPage: passesHost ? "201" : "403")
            let origin = ["--public-origin", "https://hub.example"]
            try check(origin, read: "200", published: "201", byPage: "201")
        }
    }

    @Test("An upload of 70 MB, above the connector's default body limit of 64 MiB, is published")
    func longUpload() throws {
        let server = try Server(["--maximum-event-size", "100000000"])
        let folder = try Folder()
        let large = try folder.file("large", String(repeating: "x", count: 70_000_000))
        #expect(try ask("-T", large, "-X", "POST", "\(server.address)/topics/a").hasPrefix("{\"id\":\""))
    }

    @Test("The help shows examples and options")
    func help() throws {
        let result = try Tool.run(["serve", "--help"], input: "")
        #expect(result.status == 0)
        // The help is wrapped to the terminal's width.
        let output = result.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        for text in [
            "curl -N", "--host", "--port", "--config", "--history-age", "PLINTH_HISTORY_BYTES", "default: 8080",
        ] {
            #expect(output.contains(text), "\(text)")
        }
    }
}
#endif
