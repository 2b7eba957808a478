// SPDX-License-Identifier: Apache-2.0

import Foundation
import Plinth
import PlinthTesting
import Testing

@Suite("Static resources")
final class StaticResourceTests {
    private let directory: URL
    private let chain: Chain

    init() throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "plinth-\(UUID().uuidString)")
        let root = directory.appending(path: "root")
        try FileManager.default.createDirectory(
            at: root.appending(path: "sub/empty"),
            withIntermediateDirectories: true
        )
        for (path, content) in [
            ("root/hello.txt", "0123456789"), ("root/index.html", "root index"), ("root/sub/index.html", "sub index"),
            ("root/app.js", "js"), ("root/.secret", "hidden"), ("root/sub/.git", "hidden"), ("root/a b.txt", "space"),
            ("root/é.txt", "accent"), ("root/empty.txt", ""), ("root/noext", "?"), ("secret.txt", "outside"),
        ] {
            try Data(content.utf8).write(to: directory.appending(path: path))
        }
        let manager = FileManager.default
        try manager.createSymbolicLink(
            at: root.appending(path: "out.txt"),
            withDestinationURL: directory.appending(path: "secret.txt")
        )
        try manager.createSymbolicLink(at: root.appending(path: "up"), withDestinationURL: directory)
        try manager.createSymbolicLink(
            at: root.appending(path: "in.txt"),
            withDestinationURL: root.appending(path: "hello.txt")
        )
        try manager.createDirectory(
            at: directory.appending(path: "root-sibling"),
            withIntermediateDirectories: true
        )
        try Data("sibling".utf8).write(to: directory.appending(path: "root-sibling/x.txt"))
        try manager.setAttributes(
            [.modificationDate: Date(timeIntervalSince1970: 784_111_777)],
            ofItemAtPath: root.appending(path: "hello.txt").path
        )
        chain = Chain([.notFound(), try .staticResources(root.path, at: "/assets", cacheControl: "max-age=60")])
    }

    deinit {
        try? FileManager.default.removeItem(at: directory)
    }

    private func get(_ path: String, _ headers: HTTPFields = [:]) async throws -> TestResponse {
        try await chain.response(for: .get(path, headers: headers))
    }

    @Test(
        "Files are served with their content type",
        arguments: [
            ("/assets/hello.txt", "0123456789", "text/plain; charset=utf-8"),
            ("/assets/app.js", "js", "text/javascript; charset=utf-8"),
            ("/assets/", "root index", "text/html; charset=utf-8"),
            ("/assets/sub/", "sub index", "text/html; charset=utf-8"),
            ("/assets/a%20b.txt", "space", "text/plain; charset=utf-8"),
            ("/assets/%C3%A9.txt?v=1", "accent", "text/plain; charset=utf-8"),
            ("/assets/in.txt", "0123456789", "text/plain; charset=utf-8"),
            ("/assets/noext", "?", "application/octet-stream"), ("/assets/empty.txt", "", "text/plain; charset=utf-8"),
        ]
    )
    func files(path: String, body: String, type: String) async throws {
        let response = try await get(path)
        #expect(response.status == .ok)
        #expect(response.body == body)
        #expect(response.headers[.contentType] == type)
        #expect(response.headers[.cacheControl] == "max-age=60")
        #expect(response.headers[.acceptRanges] == "bytes")
    }

    @Test(
        "Files outside of the directory, hidden files and malformed paths are not served",
        arguments: [
            "/assets/../secret.txt", "/assets/%2e%2e/secret.txt", "/assets/..%2fsecret.txt",
            "/assets/%2e%2e%2fsecret.txt",
            "/assets/sub/../../secret.txt", "/assets/..\\secret.txt", "/assets/%5c..%5csecret.txt", "/assets/out.txt",
            "/assets/up/secret.txt", "/assets/up/root/hello.txt/../../../secret.txt", "/assets/.secret",
            "/assets/sub/.git", "/assets/%2esecret", "/assets/hello.txt%00.js", "/assets/%00", "/assets//hello.txt",
            "/assets//etc/passwd", "/assets/%2Fetc%2Fpasswd", "/assets/hello.txt/", "/assets/sub/empty",
            "/assets/sub/empty/", "/assets/nothing", "/assets/%zz", "/assets/%FF", "/assetshello.txt", "/assets",
            "/hello.txt", "/", "", "*", "/assets/./hello.txt", "/assets/../root-sibling/x.txt",
            "/assets/sub/../hello.txt",
            "/assets/%252e%252e/secret.txt", "/ASSETS/hello.txt",
        ]
    )
    func escapes(path: String) async throws {
        let response = try await get(path)
        #expect(response.status == .notFound)
    }

    @Test("A directory with an index is redirected to the path with a trailing slash, keeping the query")
    func directory() async throws {
        let response = try await get("/assets/sub?a=b")
        #expect(response.status == .movedPermanently)
        #expect(response.headers[.location] == "/assets/sub/?a=b")
    }

    @Test("HEAD gets the head of GET")
    func head() async throws {
        let response = try await chain.response(for: .head("/assets/hello.txt", headers: [.range: "bytes=0-1"]))
        #expect(response.status == .ok)
        #expect(response.bytes.isEmpty)
        #expect(response.contentLength == 10)
    }

    @Test("Other methods are ignored")
    func methods() async throws {
        #expect(try await chain.response(for: .post("/assets/hello.txt")).status == .notFound)
    }

    @Test("A client with a current copy gets 304")
    func conditions() async throws {
        let first = try await get("/assets/hello.txt")
        let tag = try #require(first.headers[.eTag])
        let modified = "Sun, 06 Nov 1994 08:49:37 GMT"
        #expect(first.headers[.lastModified] == modified)
        let table: [(HTTPFields, HTTPResponse.Status)] = [
            ([.ifNoneMatch: tag], .notModified), ([.ifNoneMatch: "W/" + tag], .notModified),
            ([.ifNoneMatch: "\"x\", " + tag], .notModified), ([.ifNoneMatch: "*"], .notModified),
            ([.ifNoneMatch: "\"x\""], .ok), ([.ifNoneMatch: "\"x\"", .ifModifiedSince: modified], .ok),
            ([.ifModifiedSince: modified], .notModified), ([.ifModifiedSince: "Sun, 06 Nov 1994 08:49:36 GMT"], .ok),
            ([.ifModifiedSince: "yesterday"], .ok), ([.ifNoneMatch: tag, .range: "bytes=0-1"], .notModified),
        ]
        for (headers, status) in table {
            let response = try await get("/assets/hello.txt", headers)
            #expect(response.status == status, "\(headers)")
            #expect(response.headers[.eTag] == tag)
            #expect(response.bytes.isEmpty == (status == .notModified))
        }
    }

    @Test(
        "A range is answered with 206, an unsatisfiable one with 416, any other field with the whole file",
        arguments: [
            ("bytes=0-0", 206, "0", "bytes 0-0/10"), ("bytes=2-4", 206, "234", "bytes 2-4/10"),
            ("bytes=8-", 206, "89", "bytes 8-9/10"), ("bytes=-3", 206, "789", "bytes 7-9/10"),
            ("bytes=-99", 206, "0123456789", "bytes 0-9/10"), ("bytes=5-99", 206, "56789", "bytes 5-9/10"),
            ("Bytes=9-9223372036854775808", 206, "9", "bytes 9-9/10"), ("bytes=10-", 416, "", "bytes */10"),
            ("bytes=99999999999999999999-", 416, "", "bytes */10"), ("bytes=-0", 416, "", "bytes */10"),
            ("bytes=0-1,3-4", 200, "0123456789", nil), ("bytes=4-2", 200, "0123456789", nil),
            ("bytes=", 200, "0123456789", nil), ("bytes=-", 200, "0123456789", nil),
            ("bytes=a-b", 200, "0123456789", nil),
            ("bytes=--1", 200, "0123456789", nil), ("lines=0-1", 200, "0123456789", nil),
            ("bytes=+1-2", 200, "0123456789", nil),
        ] as [(String, Int, String, String?)]
    )
    func ranges(range: String, status: Int, body: String, contentRange: String?) async throws {
        let response = try await get("/assets/hello.txt", [.range: range])
        #expect(response.status.code == status)
        #expect(response.body == body)
        #expect(response.headers[.contentRange] == contentRange)
    }

    @Test("A range of an empty file is unsatisfiable")
    func emptyRange() async throws {
        #expect(try await get("/assets/empty.txt", [.range: "bytes=0-"]).status == .rangeNotSatisfiable)
    }

    @Test("If-Range gets the whole file if it has changed")
    func ifRange() async throws {
        let tag = try #require(try await get("/assets/hello.txt").headers[.eTag])
        for (condition, status) in [
            (tag, 206), ("Sun, 06 Nov 1994 08:49:37 GMT", 206), ("\"x\"", 200), ("W/" + tag, 200),
            ("Sun, 06 Nov 1994 08:49:38 GMT", 200),
        ] {
            let response = try await get("/assets/hello.txt", [.range: "bytes=0-1", .ifRange: condition])
            #expect(response.status.code == status)
        }
    }

    @Test("Changed content has another ETag")
    func changed() async throws {
        let before = try await get("/assets/hello.txt").headers[.eTag]
        try Data("other".utf8).write(to: directory.appending(path: "root/hello.txt"))
        #expect(try await get("/assets/hello.txt").headers[.eTag] != before)
    }

    @Test("A route precedes a file, and can serve files itself")
    func withRoutes() async throws {
        let root = directory.appending(path: "root").path
        let files = try Interceptor.staticResources(root, at: "/files")
        let routes = try Routes {
            Route.get("/hello.txt") { _ in .text("route") }
            Route.get("/files/*path", files)
        }
        let chain = Chain([.notFound(), try .staticResources(root), routes.router])
        #expect(try await chain.response(for: .get("/hello.txt")).body == "route")
        #expect(try await chain.response(for: .get("/app.js")).body == "js")
        #expect(try await chain.response(for: .get("/files/app.js")).body == "js")
    }

    @Test("A path that is not a directory throws")
    func noDirectory() {
        #expect(throws: StaticResourcesError.self) {
            try Interceptor.staticResources(directory.appending(path: "secret.txt").path)
        }
        #expect(throws: StaticResourcesError.self) { try Interceptor.staticResources("/nowhere/at/all") }
    }
}
