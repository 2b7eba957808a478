// SPDX-License-Identifier: Apache-2.0

#if Command && Client && Server
import PlinthTestSupport
import Foundation
import Testing

/// Runs `plinth listen` against servers other than a hub, and through proxies.
@Suite("The command plinth listen with other servers", .blocking)
struct ListenOptionsTests {
    private func listen(
        _ arguments: [String],
        input: String = "",
        environment: [String: String] = [:]
    ) throws -> Tool.Result {
        let folder = try Folder()
        let process = try Tool.process(["listen"] + arguments)
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = FileHandle(forReadingAtPath: try folder.file("in", input))
        let (output, errors) = (try folder.file("out", ""), try folder.file("err", ""))
        process.standardOutput = FileHandle(forWritingAtPath: output)
        process.standardError = FileHandle(forWritingAtPath: errors)
        try process.run()
        process.waitUntilExit()
        return Tool.Result(
            output: try String(contentsOfFile: output, encoding: .utf8),
            errors: try String(contentsOfFile: errors, encoding: .utf8),
            status: process.terminationStatus
        )
    }

    // MARK: - Requests

    @Test("A body comes from an argument, a file or standard input, and by default is a form sent by POST")
    func data() throws {
        let server = try PythonServer()
        let folder = try Folder()
        let file = try folder.file("body", "from\na file")
        let form = "application/x-www-form-urlencoded"
        for (options, input, expected) in [
            (["--data", "a=b&c"], "", #"POST /echo a=b&c \#(form)"#),
            (["--data", "@\(file)", "--header", "Content-Type: x/y"], "", #"POST /echo from\na file x/y"#),
            (["--data", "-"], "in\nput", #"POST /echo in\nput \#(form)"#),
            (["--data", "@-", "--method", "PUT"], "", "PUT /echo  \(form)"),
            (["--method", "REPORT"], "", "REPORT /echo  None"), ([], "", "GET /echo  None"),
        ] {
            let result = try listen(options + ["--json", "--until", "done", "\(server.url)/echo"], input: input)
            #expect(result.status == 0, "\(result.errors)")
            #expect(
                result.output == #"""
                    {"type":"echo","data":"\#(expected)","id":null}
                    {"type":"done","data":"[DONE]","id":null}

                    """#
            )
        }
        let missing = try listen(["--data", "@/no/such/file", "\(server.url)/echo"])
        #expect(missing.status == 64 && missing.errors.contains("/no/such/file"), "\(missing.errors)")
    }

    @Test("Listen ends after an event that --until names, and not before")
    func until() throws {
        let server = try PythonServer()
        for mark in ["done", "type=done", "data=[DONE]"] {
            let result = try listen(["--json", "--until", "never", "--until", mark, "\(server.url)/echo"])
            #expect(result.status == 0)
            #expect(result.output.contains("[DONE]") && !result.output.contains("late"), "\(result.output)")
        }
        // Even if the event's type is not printed.
        let hidden = try listen(["--json", "--type", "echo", "--until", "done", "\(server.url)/echo"])
        #expect(hidden.status == 0 && hidden.output.contains("GET") && !hidden.output.contains("[DONE]"))
        let ended = try listen(["--once", "--until", "never", "\(server.url)/ends"])
        #expect(ended.status == 5)
        let late = try listen(["--for", "200ms", "--until", "never", "\(server.url)/echo"])
        #expect(late.status == 2 && late.errors.contains("before an event of --until"), "\(late.errors)")
    }

    @Test(
        "Invalid option values exit with status 64",
        arguments: [
            ["--method", "A B"], ["--retry-status", "200"], ["--retry-status", "404-"], ["--retry-status", "404-401"],
            ["--retry-status", "x"], ["--retry-status", "600"], ["--until", ""], ["--until", "type="],
            ["--response-timeout", "soon"], ["--proxy", "ftp://p"], ["--proxy", "http://"],
            ["--last-event-id", String(repeating: "x", count: 4097)],
        ]
    )
    func mistakes(_ options: [String]) throws {
        let result = try listen(options + ["http://127.0.0.1:1/"])
        #expect(result.status == 64, "\(result)")
    }

    // MARK: - Answers

    @Test("Transient and listed statuses are retried; any other ends listen")
    func statuses() throws {
        let server = try PythonServer()
        for status in [408, 425, 429, 500, 502, 503, 504, 509, 520, 530] {
            #expect(try listen(["--once", "\(server.url)/status/\(status)"]).status == 5, "\(status)")
        }
        for status in [400, 401, 404, 501, 505, 531] {
            let result = try listen(["--once", "\(server.url)/status/\(status)"])
            #expect(result.status == 4, "\(status)")
            #expect(result.errors.contains("--retry-status \(status)"), "\(result.errors)")
        }
        for range in ["404", "400-404", "404-404"] {
            #expect(try listen(["--once", "--retry-status", range, "\(server.url)/status/404"]).status == 5)
        }
    }

    @Test("The server's error text is shown with terminal controls replaced")
    func reason() throws {
        let server = try PythonServer()
        let result = try listen(["\(server.url)/status/401"])
        #expect(result.errors.contains("status 401, not 200: no \u{FFFD}[31mway (code-401)."), "\(result.errors)")
        #expect(!result.errors.contains("\u{1B}"))
        #expect(!result.errors.contains("retryableStatuses"))
    }

    @Test("The reconnection time is at most an hour, whatever the stream sets")
    func longRetry() throws {
        let server = try PythonServer()
        let process = try Tool.process(["listen", "\(server.url)/ends?9007199254740991"])
        let errors = Pipe()
        process.standardError = errors
        try process.run()
        let said = HubProcess.read(errors, until: " s.")
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        #expect(said.contains(/Reconnecting in 360[01]\.\d s/), "\(said)")
    }

    @Test("A server that never responds times out", arguments: ["--response-timeout", "--idle-timeout"])
    func silence(_ option: String) throws {
        let server = try PythonServer()
        let result = try listen(["--once", option, "200ms", "\(server.url)/silence"])
        #expect(result.status == 5)
        #expect(result.errors.contains("within 0.2") || result.errors.contains("for 0.2"), "\(result.errors)")
    }

    @Test("A failure's cause is printed: name resolution, refused connection, certificate, TLS mismatch")
    func causes() throws {
        let folder = try Folder()
        // Not for 127.0.0.1: NIOSSL also matches the connection's address, so that would be valid for localhost.
        let (certificate, key) = try folder.certificate("subjectAltName=DNS:plinth-test.invalid")
        let hub = try HubProcess(["--tls-certificate", certificate, "--tls-key", key])
        let plain = try HubProcess()
        let port = hub.address.split(separator: ":").last ?? ""
        for (arguments, text) in [
            (["http://plinth-test.invalid/"], "the host name cannot be resolved"),
            (["http://127.0.0.1:1/"], "connection refused"),
            (["\(hub.address)/topics/a"], "certificate is not trusted"),
            (["\(hub.address)/topics/a"], "--ca-certificates FILE"),
            (["--ca-certificates", certificate, "https://localhost:\(port)/topics/a"], "is for another host"),
            ([plain.address.replacing("http://", with: "https://") + "/topics/a"], "the server does not speak TLS"),
            (["http://127.0.0.1:\(port)/topics/a"], "closed the connection without an answer"),
        ] {
            let result = try listen(["--once"] + arguments)
            #expect(result.status == 5, "\(result.errors)")
            #expect(result.errors.contains(text), "\(result.errors)")
            #expect(!result.errors.contains("did not answer"))
        }
    }

    // MARK: - User names and proxies

    @Test("A URL's credentials are sent as Basic, and the password is never printed")
    func userInformation() throws {
        let server = try PythonServer()
        let url = server.url.replacing("http://", with: "http://user:s%65cret@")
        #expect(try listen(["--until", "done", "\(url)/echo"]).status == 0)
        #expect(server.requests(1)[0].fields["authorization"] == "Basic dXNlcjpzZWNyZXQ=")
        for arguments in [
            ["\(url)/status/401"], ["--once", "\(url)/ends"], ["--once", "http://user:secret@127.0.0.1:1/"],
            ["http://user:secret@127.0.0.1:x/"], ["ftp://user:secret@a/"], ["http://user:sec/ret@a b/"],
            ["--proxy", "ftp://user:secret@p", "\(url)/echo"],
            ["--once", "--proxy", "http://user:secret@127.0.0.1:1", "http://plinth-test.invalid/"],
        ] {
            let result = try listen(arguments)
            #expect(result.status != 0 && !result.errors.isEmpty)
            for text in ["secret", "s%65cret", "sec/ret"] {
                #expect(!(result.errors + result.output).contains(text), "\(result.errors)")
            }
        }
    }

    @Test("An http request reaches the proxy in absolute form with the proxy's credentials, subject to NO_PROXY")
    func httpProxy() throws {
        let proxy = try PythonServer()
        let address = "http://u:p@127.0.0.1:\(proxy.port)"
        let url = "http://plinth-test.invalid/echo?x"
        let ways: [(options: [String], environment: [String: String], isUsed: Bool)] = [
            (["--proxy", address], [:], true),
            ([], ["http_proxy": address], true),
            ([], ["HTTP_PROXY": address], true),
            ([], ["ALL_PROXY": address], true),
            ([], ["HTTP_PROXY": address, "REQUEST_METHOD": "GET"], false),
            ([], ["http_proxy": address, "NO_PROXY": "other.invalid, .invalid"], false),
            (["--proxy", ""], ["http_proxy": address], false),
        ]
        let none = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"]
        let unset = Dictionary(uniqueKeysWithValues: none.map { ($0, "") })
        var count = 0
        for way in ways {
            let environment = unset.merging(way.environment) { $1 }
            let result = try listen(["--once", "--until", "done"] + way.options + [url], environment: environment)
            #expect(result.status == (way.isUsed ? 0 : 5), "\(way) \(result.errors)")
            if way.isUsed { count += 1 } else { #expect(result.errors.contains("cannot be resolved")) }
        }
        for request in proxy.requests(count) {
            #expect(request.target == url)
            #expect(request.fields["host"] == "plinth-test.invalid")
            #expect(request.fields["proxy-authorization"] == "Basic dTpw")
            #expect(request.fields["authorization"] == nil)
        }
        let wrong = try listen([url], environment: unset.merging(["http_proxy": "ftp://u:secret@p"]) { $1 })
        #expect(wrong.status == 64)
        #expect(wrong.errors.contains("http_proxy: ") && !wrong.errors.contains("secret"), "\(wrong.errors)")
        // A loopback host bypasses the proxy.
        let server = try PythonServer()
        let direct = try listen(
            ["--until", "done", "--proxy", "http://127.0.0.1:1", "\(server.url)/echo"],
            environment: unset
        )
        #expect(direct.status == 0, "\(direct.errors)")
        #expect(server.requests(1)[0].target == "/echo")
    }

    @Test("An https request uses a tunnel; a proxy that refuses one is reported")
    func httpsProxy() throws {
        let folder = try Folder()
        let (certificate, key) = try folder.certificate("subjectAltName=DNS:plinth-test.invalid")
        let hub = try HubProcess([
            "--tls-certificate", certificate, "--tls-key", key, "--allow-host", "plinth-test.invalid",
        ])
        let port = String(hub.address.split(separator: ":").last ?? "")
        let local = "https://127.0.0.1:\(port)/topics/a"
        #expect(try Tool.run(["publish", "--insecure", local, "hello"], input: "").status == 0)
        let proxy = try PythonServer([port])
        let url = "https://plinth-test.invalid/topics/a?last-event-id=earliest"
        let options = ["--once", "--count", "1", "--json", "--ca-certificates", certificate]
        let result = try listen(
            options + [url],
            environment: ["https_proxy": "http://u:p@127.0.0.1:\(proxy.port)", "no_proxy": "", "NO_PROXY": ""]
        )
        #expect(result.status == 0 && result.output.contains("hello"), "\(result.errors)")
        let request = try #require(proxy.requests(1).first)
        #expect(request.method == "CONNECT" && request.target == "plinth-test.invalid:443")
        #expect(request.fields["proxy-authorization"] == "Basic dTpw")
        let refusing = try PythonServer()
        let refused = try listen(options + ["--proxy", "http://127.0.0.1:\(refusing.port)", url])
        #expect(refused.status == 5)
        #expect(refused.errors.contains("the proxy did not make the connection"), "\(refused.errors)")
        for target in [url, "http://plinth-test.invalid/"] {
            let missing = try listen(["--once", "--proxy", "http://u:secret@127.0.0.1:1", target])
            #expect(missing.status == 5)
            #expect(missing.errors.contains("cannot reach the proxy 127.0.0.1, port 1: "), "\(missing.errors)")
        }
    }
}

extension Folder {
    /// Creates a self-signed certificate and its key.
    fileprivate func certificate(_ name: String) throws -> (certificate: String, key: String) {
        let (certificate, key) = (url.path + "/certificate.pem", url.path + "/key.pem")
        let openssl = Process()
        openssl.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        openssl.arguments =
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=plinth-test -addext"
            .split(separator: " ").map(String.init) + [name, "-keyout", key, "-out", certificate]
        openssl.standardError = FileHandle.nullDevice
        try openssl.run()
        openssl.waitUntilExit()
        return (certificate, key)
    }
}

/// A Python server that prints each request, serves responses that a hub never sends, and acts as a proxy.
private final class PythonServer {
    struct Request: Decodable {
        var method: String
        var target: String
        var fields: [String: String]
    }

    let port: Int
    private let process = Process()
    private let output = Pipe()
    private var lines: [Substring] = []

    var url: String { "http://127.0.0.1:\(port)" }

    /// Starts the server.
    ///
    /// - Parameter arguments: The loopback port to which all tunnels connect; empty to refuse tunnels.
    /// - Throws: An error if Python or the server does not start.
    init(_ arguments: [String] = []) throws {
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", Self.script] + arguments
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let line = HubProcess.read(output, until: "\n")
        port = try #require(Int(line.dropLast()))
    }

    deinit {
        process.terminate()
        process.waitUntilExit()
    }

    /// Waits for at least `count` requests and returns all read so far.
    func requests(_ count: Int) -> [Request] {
        while lines.count < count {
            let text = HubProcess.read(output, until: "\n")
            if text.isEmpty { break }
            lines += text.split(separator: "\n")
        }
        return lines.compactMap { try? JSONDecoder().decode(Request.self, from: Data($0.utf8)) }
    }

    private static let script = #"""
        import http.server, json, socket, sys, threading

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *arguments): pass

            def answer(self):
                fields = {name.lower(): value for name, value in self.headers.items()}
                print(json.dumps({"method": self.command, "target": self.path, "fields": fields}), flush=True)
                if self.command == "CONNECT": return self.tunnel()
                body = self.rfile.read(int(fields.get("content-length", 0))).decode()
                path = self.path
                if path.startswith("http://"): path = "/" + path.split("/", 3)[3]
                if path.startswith("/status/"):
                    status = int(path[8:])
                    text = json.dumps({"error": "no \x1b[31mway", "code": f"code-{status}"}).encode()
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    self.wfile.write(text)
                    return
                if path == "/silence": return self.hold()
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                if path.startswith("/ends"):
                    retry = path.partition("?")[2]
                    self.wfile.write(f"retry: {retry}\n\n".encode() if retry else b":\n")
                    return
                text = f"{self.command} {path} {body} {fields.get('content-type')}".replace("\n", "\\n")
                self.wfile.write(f"event: echo\ndata: {text}\n\n".replace("\\n", "\ndata: ").encode())
                self.wfile.write(b"event: done\ndata: [DONE]\n\nevent: late\ndata: late\n\n")
                self.hold()

            def hold(self):
                while self.connection.recv(4096): pass

            def tunnel(self):
                if len(sys.argv) < 2:
                    self.send_error(403)
                    return
                other = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
                self.send_response(200)
                self.end_headers()
                def copy(a, b):
                    try:
                        while data := a.recv(65536): b.sendall(data)
                        b.shutdown(socket.SHUT_WR)
                    except OSError: pass
                threading.Thread(target=copy, args=(other, self.connection), daemon=True).start()
                copy(self.connection, other)

        for method in ["GET", "POST", "PUT", "REPORT", "CONNECT"]:
            setattr(Handler, "do_" + method, Handler.answer)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        print(server.server_port, flush=True)
        server.serve_forever()
        """#
}
#endif
