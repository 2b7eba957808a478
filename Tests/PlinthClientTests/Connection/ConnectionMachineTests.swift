// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Testing

@testable import PlinthClient

/// The state machine of connections, without a socket or a clock.
@Suite("Connection state machine")
struct ConnectionMachineTests {
    /// A machine whose actions are abbreviated as text.
    struct Rules {
        var machine: ConnectionMachine
        var now: Duration = .zero
        private(set) var request: EventSourceRequest?

        init(
            _ url: String = "http://a.example/s",
            lastEventID: String = "",
            reading: Reading = .events,
            _ configure: (inout EventSourceConfiguration) -> Void = { _ in }
        ) throws {
            var configuration = EventSourceConfiguration()
            configuration.backoff = .none
            configure(&configuration)
            machine = ConnectionMachine(
                address: try HTTPAddress(url),
                configuration: configuration,
                lastEventID: lastEventID,
                reading: reading
            )
        }

        private mutating func say(_ action: ConnectionMachine.Action) -> String {
            switch action {
            case .connect(let request):
                self.request = request
                return "\(request.method) \(request.url)"
            case .read: return "read"
            case .wait(let delay, let error): return "\(error.code) \(delay)"
            case .stop(let error): return "stop \(error?.code.description ?? "")"
            case .end: return "end"
            case .gap: return "gap"
            case .askForState(let delay, let error): return "ask \(error.map { "\($0.code) " } ?? "")\(delay)"
            }
        }

        mutating func connect(_ provided: HTTPFields = [:]) -> String { say(machine.connect(adding: provided)) }

        mutating func head(_ status: Int, _ fields: HTTPFields = [:], date: Int = 0) -> String {
            say(machine.received(.init(status: status, headerFields: fields), at: now, date: date))
        }

        mutating func open() -> String { head(200, [.contentType: "text/event-stream"]) }

        mutating func redirect(_ status: Int, _ location: String) -> String { head(status, [.location: location]) }

        mutating func bytes(_ text: String) -> (events: [EventSource.Event], action: String?) {
            var batch = EventBatch()
            let action = machine.received(Array(text.utf8).span, into: &batch)
            return (batch.events, action.map { say($0) })
        }

        mutating func gap() -> String { say(machine.gap(at: now)) }

        mutating func end() -> String { say(machine.failed(EventSourceError(.streamEnded, ""), at: now)) }

        mutating func breakOff() -> String { say(machine.failed(EventSourceError(.connectionLost, ""), at: now)) }

        mutating func fail() -> String { say(machine.failed(EventSourceError(.connectionFailed, ""), at: now)) }
    }

    // MARK: - Requests

    @Test("The first request accepts an event stream, uncached, and has no last event ID")
    func firstRequest() throws {
        var rules = try Rules()
        #expect(rules.connect() == "GET http://a.example/s")
        #expect(rules.request?.headerFields == [.accept: "text/event-stream", .cacheControl: "no-cache"])
        #expect(rules.request?.body == nil)
    }

    @Test("The last event ID is sent as UTF-8, only if not empty, and kept across connections")
    func lastEventID() throws {
        var rules = try Rules(lastEventID: "ä\t漢")
        _ = rules.connect()
        #expect(rules.request?.headerFields[.lastEventID] == "ä\t漢")
        #expect(rules.open() == "read")
        #expect(rules.bytes("data: a\n\n").events.map(\.lastEventID) == ["ä\t漢"])
        #expect(rules.bytes("id: 2\n\ndata: b\n\n").events.map(\.lastEventID) == ["2"])
        _ = rules.end()
        _ = rules.connect()
        #expect(rules.request?.headerFields[.lastEventID] == "2")
        _ = rules.fail()
        _ = rules.connect()
        #expect(rules.request?.headerFields[.lastEventID] == "2")
        #expect(rules.open() == "read")
        _ = rules.bytes("id\n\n")
        _ = rules.end()
        _ = rules.connect()
        #expect(rules.request?.headerFields[.lastEventID] == nil)
    }

    @Test("An event that is cut off is dropped with its ID and type")
    func cutOff() throws {
        var rules = try Rules()
        _ = rules.connect()
        _ = rules.open()
        _ = rules.bytes("id: 1\ndata: a\n\nid: 2\nevent: e\ndata: b\n")
        _ = rules.end()
        _ = rules.connect()
        #expect(rules.request?.headerFields[.lastEventID] == "1")
        _ = rules.open()
        #expect(
            rules.bytes("\ndata: c\n\n").events == [.init(type: "message", data: "c", lastEventID: "1", hasID: false)]
        )
    }

    @Test("Fields of the configuration and the provider are sent, and the provider's take precedence")
    func headerFields() throws {
        var rules = try Rules { configuration in
            configuration.headerFields = [.authorization: "old", .userAgent: "a", .accept: "application/json"]
        }
        _ = rules.connect([.authorization: "new"])
        #expect(
            rules.request?.headerFields == [
                .authorization: "new", .userAgent: "a", .accept: "application/json", .cacheControl: "no-cache",
            ]
        )
    }

    @Test("Method and body are sent with each attempt")
    func methodAndBody() throws {
        var rules = try Rules { configuration in
            configuration.method = .post
            configuration.body = [1, 2]
            configuration.headerFields = [.contentType: "x/y"]
        }
        for _ in 0..<3 {
            #expect(rules.connect() == "POST http://a.example/s")
            #expect(rules.request?.body == [1, 2])
            #expect(rules.request?.headerFields[.contentType] == "x/y")
            _ = rules.open()
            _ = rules.end()
        }
    }

    // MARK: - Responses

    @Test(
        "A response opens if its type is text/event-stream, regardless of case and parameters",
        arguments: [
            ("text/event-stream", true), ("Text/Event-STREAM", true), ("text/event-stream;charset=utf-8", true),
            ("text/event-stream ; charset=\"UTF-8\"", true), ("text/event-stream;", true),
            (" text/event-stream", true), ("text/event-stream;charset=latin1", true), ("text/event-stream;x=y", true),
            ("text/plain", false), ("text/event-streams", false), ("text/event-stream, text/plain", false),
            ("text/plain, text/event-stream", false), ("event-stream", false), ("text/", false), ("", false),
            ("application/x-text/event-stream", false),
        ]
    )
    func contentType(_ value: String, _ opens: Bool) throws {
        var rules = try Rules()
        _ = rules.connect()
        #expect(rules.head(200, [.contentType: value]) == (opens ? "read" : "stop unexpectedContentType"))
    }

    @Test("Of several types the last one counts, and a response without one does not open")
    func severalContentTypes() throws {
        var rules = try Rules()
        _ = rules.connect()
        var fields = HTTPFields()
        #expect(rules.head(200, fields) == "stop unexpectedContentType")
        fields.append(.init(name: .contentType, value: "text/plain"))
        fields.append(.init(name: .contentType, value: "text/event-stream"))
        #expect(rules.head(200, fields) == "read")
        fields.append(.init(name: .contentType, value: "*/*"))
        #expect(rules.head(200, fields) == "read")
        fields.append(.init(name: .contentType, value: "text/html"))
        #expect(rules.head(200, fields) == "stop unexpectedContentType")
    }

    @Test("Another charset is refused if configured", arguments: [("utf-8", true), ("UTF-8", true), ("latin1", false)])
    func charset(_ charset: String, _ opens: Bool) throws {
        var rules = try Rules { $0.requiresUTF8 = true }
        _ = rules.connect()
        let fields: HTTPFields = [.contentType: "text/event-stream; charset=\(charset)"]
        #expect(rules.head(200, fields) == (opens ? "read" : "stop unexpectedCharset"))
    }

    @Test("A compressed response is refused", arguments: [("gzip", false), ("BR", false), ("identity", true)])
    func compressed(_ encoding: String, _ opens: Bool) throws {
        var rules = try Rules()
        _ = rules.connect()
        let fields: HTTPFields = [.contentType: "text/event-stream", .contentEncoding: encoding]
        #expect(rules.head(200, fields) == (opens ? "read" : "stop compressed"))
    }

    @Test(
        "A status other than 200 is permanent, even with the right type",
        arguments: [
            201, 202, 205, 206, 300, 304, 305, 306, 400, 401, 403, 404, 407, 408, 410, 429, 500, 502, 503, 504, 599,
        ]
    )
    func statuses(_ status: Int) throws {
        var rules = try Rules()
        _ = rules.connect()
        #expect(rules.head(status, [.contentType: "text/event-stream"]) == "stop unexpectedStatus")
    }

    @Test("204 stops the source without an error")
    func noContent() throws {
        var rules = try Rules()
        _ = rules.connect()
        #expect(rules.head(204) == "stop ")
    }

    // MARK: - Redirects

    @Test("All five redirect statuses are followed", arguments: [301, 302, 303, 307, 308])
    func redirects(_ status: Int) throws {
        var rules = try Rules()
        _ = rules.connect()
        #expect(rules.redirect(status, "../t?q#f") == "GET http://a.example/t?q")
        #expect(rules.open() == "read")
    }

    @Test(
        "A redirect's method and body are those of the Fetch standard",
        arguments: [
            (301, "POST", "GET"), (302, "POST", "GET"), (303, "POST", "GET"), (307, "POST", "POST"),
            (308, "POST", "POST"), (301, "REPORT", "REPORT"), (302, "PUT", "PUT"), (303, "PUT", "GET"),
            (303, "HEAD", "HEAD"),
        ]
    )
    func redirectedMethods(_ status: Int, _ method: String, _ then: String) throws {
        var rules = try Rules { configuration in
            configuration.method = HTTPRequest.Method(method) ?? .get
            configuration.body = [1]
            configuration.headerFields = [.contentType: "x/y", .userAgent: "a"]
        }
        _ = rules.connect()
        #expect(rules.redirect(status, "/t") == "\(then) http://a.example/t")
        let keepsBody = then != "GET"
        #expect(rules.request?.body == (keepsBody ? [1] : nil))
        #expect(rules.request?.headerFields[.contentType] == (keepsBody ? "x/y" : nil))
        #expect(rules.request?.headerFields[.userAgent] == "a")
    }

    @Test("20 redirects are followed, and the next one is a failure that is retried")
    func manyRedirects() throws {
        var rules = try Rules()
        for _ in 0..<2 {
            _ = rules.connect()
            for number in 1...20 {
                #expect(rules.redirect(302, "/\(number)") == "GET http://a.example/\(number)")
            }
            #expect(rules.redirect(302, "/21") == "tooManyRedirects 3.0 seconds")
        }
    }

    @Test(
        "A redirect without a Location, or with an empty one, is an unexpected status",
        arguments: [301, 302, 303, 307, 308]
    )
    func missingLocation(_ status: Int) throws {
        var rules = try Rules()
        _ = rules.connect()
        #expect(rules.head(status) == "stop unexpectedStatus")
        #expect(rules.redirect(status, "") == "stop unexpectedStatus")
    }

    @Test("An invalid Location is retried, one with another scheme is not")
    func uselessLocations() throws {
        var rules = try Rules()
        _ = rules.connect()
        #expect(rules.redirect(301, "http://[x/") == "invalidRedirect 3.0 seconds")
        #expect(rules.redirect(301, "http://b:99999/") == "invalidRedirect 3.0 seconds")
        #expect(rules.redirect(301, "ftp://b/") == "stop redirectRefused")
        #expect(rules.redirect(301, "data:text/event-stream,data:%20x") == "stop redirectRefused")
        #expect(rules.redirect(301, "http://user@b.example/") == "stop redirectRefused")
    }

    @Test("Credentials are sent only to their origin, also when reconnecting")
    func sensitiveFields() throws {
        var rules = try Rules { configuration in
            configuration.headerFields = [.authorization: "secret", .cookie: "c", .userAgent: "a"]
        }
        _ = rules.connect()
        _ = rules.redirect(307, "/same")
        #expect(rules.request?.headerFields[.authorization] == "secret")
        for url in ["https://a.example/", "http://b.example/", "http://a.example:81/"] {
            _ = rules.redirect(307, url)
            #expect(rules.request?.headerFields[.authorization] == nil)
            #expect(rules.request?.headerFields[.cookie] == nil)
            #expect(rules.request?.headerFields[.userAgent] == "a")
        }
        _ = rules.open()
        _ = rules.end()
        #expect(rules.connect() == "GET http://a.example:81/")
        #expect(rules.request?.headerFields[.authorization] == nil)
    }

    @Test("Credentials that a redirect removed stay removed, also back at the first origin", arguments: [false, true])
    func credentialsAfterAnotherOrigin(_ returns: Bool) throws {
        var rules = try Rules("http://user:pass@a.example/s") { configuration in
            configuration.headerFields = [.cookie: "c", .proxyAuthorization: "p", .userAgent: "a"]
            configuration.reconnectsToOriginalURL = returns
        }
        func credentials(_ rules: Rules) -> [String?] {
            [.authorization, .cookie, .proxyAuthorization].map { rules.request?.headerFields[$0] }
        }
        let all = ["Basic dXNlcjpwYXNz", "c", "p"]
        #expect(rules.connect() == "GET http://a.example/s")
        #expect(credentials(rules) == all)
        #expect(rules.redirect(307, "http://a.example/2") == "GET http://a.example/2")
        #expect(credentials(rules) == all)
        #expect(rules.redirect(307, "http://b.example/") == "GET http://b.example/")
        #expect(credentials(rules) == [nil, nil, nil])
        #expect(rules.redirect(307, "http://a.example/chosen-by-b") == "GET http://a.example/chosen-by-b")
        #expect(credentials(rules) == [nil, nil, nil])
        #expect(rules.redirect(307, "/3") == "GET http://a.example/3")
        #expect(credentials(rules) == [nil, nil, nil])
        #expect(rules.request?.headerFields[.userAgent] == "a")
        _ = rules.open()
        _ = rules.end()
        // The next attempt starts where that one ended, or at the original URL.
        #expect(rules.connect() == "GET http://a.example/\(returns ? "s" : "3")")
        #expect(credentials(rules) == (returns ? all : [nil, nil, nil]))
        _ = rules.redirect(307, "http://b.example/")
        _ = rules.redirect(307, "http://a.example/s")
        #expect(credentials(rules) == [nil, nil, nil])
        _ = rules.open()
        _ = rules.end()
        #expect(rules.connect() == "GET http://a.example/s")
        #expect(credentials(rules) == all)
    }

    @Test("A redirect that does not lead to a response removes no credentials from the next attempt")
    func credentialsAfterFailure() throws {
        var rules = try Rules("http://user:pass@a.example/s")
        _ = rules.connect()
        _ = rules.redirect(307, "http://b.example/")
        _ = rules.fail()
        #expect(rules.connect() == "GET http://a.example/s")
        #expect(rules.request?.headerFields[.authorization] == "Basic dXNlcjpwYXNz")
    }

    @Test("A URL's user name is sent as Basic, unless there is an Authorization, and appears in no message")
    func userInformation() throws {
        var rules = try Rules("http://user:p%40ss@a.example/s")
        #expect(rules.connect([.authorization: "Bearer b"]) == "GET http://a.example/s")
        #expect(rules.request?.headerFields[.authorization] == "Bearer b")
        #expect(rules.connect() == "GET http://a.example/s")
        #expect(rules.request?.headerFields[.authorization] == "Basic dXNlcjpwQHNz")
        #expect(rules.redirect(307, "http://other:word@a.example/t") == "GET http://a.example/t")
        #expect(rules.request?.headerFields[.authorization] == "Basic b3RoZXI6d29yZA==")
        guard case .stop(let error?) = rules.machine.received(.init(status: 404), at: .zero, date: 0) else {
            Issue.record("404 is permanent")
            return
        }
        #expect(!error.description.contains("word") && !error.description.contains("other"))
        _ = rules.connect()
        for location in ["http://u:secret@b.example/", "ftp://u:secret@b/", "http://u:secret@b:x/"] {
            let head = EventSourceResponseHead(status: 302, headerFields: [.location: location])
            switch rules.machine.received(head, at: .zero, date: 0) {
            case .stop(let error?), .wait(_, let error): #expect(!error.description.contains("secret"))
            default: Issue.record("\(location) is followed")
            }
        }
    }

    @Test("A redirect by another origin to a URL with a user name is refused, even back to the first origin")
    func foreignUserInformation() throws {
        for location in ["http://u:p@b.example/", "http://u:p@a.example/"] {
            var rules = try Rules("http://a.example/s")
            _ = rules.connect()
            _ = rules.redirect(302, "http://b.example/")
            #expect(rules.redirect(302, location) == "stop redirectRefused")
        }
    }

    @Test("It reconnects to where redirects led, or to the original URL if configured", arguments: [false, true])
    func afterRedirect(_ returns: Bool) throws {
        var rules = try Rules { $0.reconnectsToOriginalURL = returns }
        _ = rules.connect()
        _ = rules.redirect(307, "/t")
        // A redirect without a response is not remembered.
        _ = rules.fail()
        #expect(rules.connect() == "GET http://a.example/s")
        _ = rules.redirect(307, "/t")
        _ = rules.open()
        _ = rules.end()
        #expect(rules.connect() == "GET http://a.example/\(returns ? "s" : "t")")
    }

    // MARK: - Waiting

    @Test("The reconnection time is 3 s until the stream sets another")
    func reconnectionTime() throws {
        var rules = try Rules()
        _ = rules.connect()
        #expect(rules.fail() == "connectionFailed 3.0 seconds")
        _ = rules.connect()
        _ = rules.open()
        _ = rules.bytes("retry: 150\n")
        #expect(rules.end() == "streamEnded 0.15 seconds")
        _ = rules.connect()
        #expect(rules.fail() == "connectionFailed 0.15 seconds")
        _ = rules.connect()
        _ = rules.open()
        _ = rules.bytes("retry: 1x\nretry: -1\nretry: 1.5\nretry:\nretry:  7\n")
        #expect(rules.end() == "streamEnded 0.15 seconds")
        _ = rules.connect()
        _ = rules.open()
        _ = rules.bytes("retry:0\n")
        #expect(rules.end() == "streamEnded 0.0 seconds")
    }

    @Test("The back-off grows with each failure up to its cap, and an event or a long connection resets it")
    func backoff() throws {
        var rules = try Rules { configuration in
            configuration.reconnectionTime = .seconds(10)
            configuration.backoff = .exponential(base: .seconds(2), cap: .seconds(9), resetTime: .seconds(60))
            configuration.random = { 0.5 }
        }
        for delay in ["11.0", "12.0", "14.0", "14.5", "14.5"] {
            _ = rules.connect()
            #expect(rules.fail() == "connectionFailed \(delay) seconds")
        }
        // Open for less than the reset time, without an event: no reset.
        _ = rules.connect()
        _ = rules.open()
        rules.now += .seconds(59)
        #expect(rules.breakOff() == "connectionLost 14.5 seconds")
        _ = rules.connect()
        _ = rules.open()
        rules.now += .seconds(60)
        #expect(rules.breakOff() == "connectionLost 11.0 seconds")
        _ = rules.connect()
        #expect(rules.fail() == "connectionFailed 12.0 seconds")
        _ = rules.connect()
        _ = rules.open()
        _ = rules.bytes("data: a\n\n")
        #expect(rules.end() == "streamEnded 11.0 seconds")
    }

    @Test(
        "A stream that ends properly after 1 s, or the reconnection time, resets the back-off without an event",
        arguments: [
            ("retry: 500\n", 0.9, false), ("retry: 500\n", 1, true), ("retry: 0\n", 0.9, false),
            ("retry: 0\n", 1, true),
            ("retry: 5000\n", 4.9, false), ("retry: 5000\n", 5, true), ("", 2.9, false), ("", 3, true),
            // At most the reset time of a lost connection.
            ("retry: 3000000\n", 59, false), ("retry: 3000000\n", 60, true),
        ]
    )
    func properEnd(_ retry: String, _ seconds: Double, _ resets: Bool) throws {
        var rules = try Rules { $0.backoff = .exponential(base: .seconds(2), cap: .seconds(60)) }
        for _ in 0..<3 {
            _ = rules.connect()
            _ = rules.fail()
        }
        _ = rules.connect()
        _ = rules.open()
        _ = rules.bytes(retry + ":\n")
        rules.now += .seconds(seconds)
        _ = rules.end()
        #expect(rules.machine.failures == (resets ? 1 : 4))
    }

    @Test("The back-off grows for a server that ends each stream at once, even if it sets retry to 0")
    func endsAtOnce() throws {
        var rules = try Rules { configuration in
            configuration.backoff = .exponential(base: .seconds(1), cap: .seconds(30))
            configuration.random = { 1 }
        }
        for delay in [1, 2, 4, 8, 16, 30, 30] {
            _ = rules.connect()
            _ = rules.open()
            _ = rules.bytes("retry: 0\n\n")
            #expect(rules.end() == "streamEnded \(delay).0 seconds")
        }
    }

    @Test(
        "A stream cannot set a reconnection time above the maximum",
        arguments: [
            ("3600000", "3600.0"), ("3600001", "3600.0"), ("9007199254740991", "3600.0"),
            ("99999999999999999999999", "3600.0"), ("3599999", "3599.999"),
        ]
    )
    func maximumReconnectionTime(_ retry: String, _ delay: String) throws {
        var rules = try Rules()
        _ = rules.connect()
        _ = rules.open()
        _ = rules.bytes("retry: \(retry)\n\n")
        #expect(rules.end() == "streamEnded \(delay) seconds")
        var short = try Rules { configuration in
            configuration.maximumReconnectionTime = .seconds(10)
            configuration.reconnectionTime = .seconds(20)
        }
        _ = short.connect()
        // The maximum does not limit the configured reconnection time.
        #expect(short.fail() == "connectionFailed 20.0 seconds")
        _ = short.connect()
        _ = short.open()
        _ = short.bytes("retry: \(retry)\n\n")
        #expect(short.end() == "streamEnded 10.0 seconds")
    }

    @Test("A last event ID is sent up to the maximum, in bytes of UTF-8")
    func longLastEventID() throws {
        for (id, isSent) in [("1234", true), ("12345", false), ("éé", true), ("ééé", false)] {
            var rules = try Rules(lastEventID: id) { $0.maximumLastEventIDSize = 4 }
            _ = rules.connect()
            #expect(rules.request?.headerFields[.lastEventID] == (isSent ? id : nil))
            _ = rules.open()
            #expect(rules.bytes("data: a\n\n").events.map(\.lastEventID) == [id])
        }
        var rules = try Rules(lastEventID: String(repeating: "x", count: 4096))
        _ = rules.connect()
        #expect(rules.request?.headerFields[.lastEventID] != nil)
        rules = try Rules(lastEventID: String(repeating: "x", count: 4097))
        _ = rules.connect()
        #expect(rules.request?.headerFields[.lastEventID] == nil)
    }

    @Test("Transient statuses are those of overload, gateways and proxies")
    func transientStatuses() {
        let statuses = EventSourceConfiguration.transientStatuses
        #expect(statuses == Set([408, 425, 429, 500, 502, 503, 504, 509]).union(520...530))
        #expect(EventSourceConfiguration().retryableStatuses.isEmpty)
    }

    @Test("The jitter is full: from 0 to the limit")
    func jitter() throws {
        let backoff = EventSourceBackoff.exponential(base: .seconds(1), cap: .seconds(30))
        #expect(backoff.delay(failures: 3, random: 0) == .zero)
        #expect(backoff.delay(failures: 3, random: 0.75) == .seconds(3))
        #expect(backoff.delay(failures: 1000, random: 1) == .seconds(30))
        #expect(EventSourceBackoff.none.delay(failures: 5, random: 0.9) == .zero)
    }

    @Test(
        "A retried status waits for its Retry-After, within bounds",
        arguments: [
            ("7", "7.0"), ("0", "3.0"), ("99999999999999999999", "300.0"), ("x", "3.0"), ("-5", "3.0"), (" 8 ", "8.0"),
            ("Sun, 06 Nov 1994 08:49:47 GMT", "10.0"), ("Sun, 06 Nov 1994 08:49:30 GMT", "3.0"),
            ("Mon, 07 Nov 1994 08:49:37 GMT", "300.0"), ("Sun, 99 Nov 1994 08:49:30 GMT", "3.0"),
        ]
    )
    func retryAfter(_ value: String, _ delay: String) throws {
        var rules = try Rules { $0.retryableStatuses = EventSourceConfiguration.transientStatuses }
        _ = rules.connect()
        let ours = 784_111_777
        #expect(rules.head(503, [.retryAfter: value], date: ours) == "unexpectedStatus \(delay) seconds")
        // A date is relative to the response's own `Date`, if present.
        let fields: HTTPFields = [.retryAfter: value, .date: "Sun, 06 Nov 1994 08:49:37 GMT"]
        #expect(rules.head(429, fields, date: 0) == "unexpectedStatus \(delay) seconds")
        #expect(rules.head(501) == "stop unexpectedStatus")
    }

    @Test("The maximum number of consecutive failures stops the source")
    func maximumAttempts() throws {
        var rules = try Rules { $0.maximumAttempts = 3 }
        _ = rules.connect()
        #expect(rules.fail() == "connectionFailed 3.0 seconds")
        _ = rules.connect()
        _ = rules.open()
        _ = rules.bytes("data: a\n\n")
        #expect(rules.end() == "streamEnded 3.0 seconds")
        #expect(rules.fail() == "connectionFailed 3.0 seconds")
        #expect(rules.fail() == "stop tooManyAttempts")
    }

    // MARK: - Limits

    @Test("An event above the limit stops the source, after the events before it")
    func tooLarge() throws {
        var rules = try Rules { $0.maximumEventSize = 8 }
        _ = rules.connect()
        _ = rules.open()
        let (events, action) = rules.bytes("data: 12345678\n\ndata: 123456789\n\n")
        #expect(events.map(\.data) == ["12345678"])
        #expect(action == "stop tooLarge")
    }
}
