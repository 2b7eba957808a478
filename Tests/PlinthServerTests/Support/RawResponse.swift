// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport

/// A response as received.
struct RawResponse: Sendable {
    var statusLine: String
    var fields: [(name: String, value: String)]
    var body: String

    var status: Int { Int(statusLine.split(separator: " ").dropFirst().first ?? "") ?? 0 }

    /// All values of a field.
    subscript(all name: String) -> [String] {
        fields.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
    }

    /// The value of a field.
    subscript(name: String) -> String? { self[all: name].first }

    init(head: String) {
        var lines = head.split(separator: "\r\n", omittingEmptySubsequences: true).map(String.init)
        statusLine = lines.isEmpty ? "" : lines.removeFirst()
        fields = lines.map { line in
            let parts = line.split(separator: ":", maxSplits: 1)
            let value = parts.count > 1 ? parts[1].drop { $0 == " " } : ""
            return (String(parts.first ?? ""), String(value))
        }
        body = ""
    }
}

extension RawClient {
    /// Reads one response with its framing; a response to `HEAD` has no body.
    func response(hasBody: Bool = true, within limit: Double = patience / .seconds(1)) async throws -> RawResponse {
        var response = RawResponse(head: try await read(until: "\r\n\r\n", within: limit))
        guard hasBody, response.status != 204, response.status != 304, response.status >= 200 else { return response }
        if response["Transfer-Encoding"] == "chunked" {
            while true {
                let line = try await read(until: "\r\n", within: limit)
                guard let size = Int(line.dropLast(), radix: 16) else {
                    throw Failure(description: "a chunk of size \(line.debugDescription)")
                }
                let piece = try await read(count: size + 2, within: limit)
                guard Array(piece.suffix(2)) == [13, 10] else { throw Failure(description: "a chunk without CRLF") }
                if size == 0 { return response }
                response.body += String(decoding: piece.dropLast(2), as: UTF8.self)
            }
        }
        if let length = response["Content-Length"].flatMap({ Int($0) }) {
            response.body = String(decoding: try await read(count: length, within: limit), as: UTF8.self)
            return response
        }
        response.body = try await readToEnd(within: limit)
        return response
    }

    /// Sends a request without a body and reads the response.
    func get(_ target: String, _ fields: String = "") async throws -> RawResponse {
        try await send("GET \(target) HTTP/1.1\r\nHost: test\r\n\(fields)\r\n")
        return try await response()
    }
}

extension String {
    /// A head without its `Date` field.
    var withoutDate: String {
        split(separator: "\r\n", omittingEmptySubsequences: false).filter { !$0.hasPrefix("Date: ") }.joined(
            separator: "\r\n"
        )
    }
}

#endif
