// SPDX-License-Identifier: Apache-2.0

#if os(Linux) && Command && Client && Server

import PlinthTestSupport
import Foundation
import Glibc

/// A server whose responses a test writes as bytes, with a thread per connection and one request on each.
final class ScriptedHub: Sendable {
    enum Answer: Sendable {
        /// Sends the bytes, then ends the connection.
        case send(String)
        /// Sends the bytes, then nothing until the client leaves.
        case hold(String)

        static func status(_ status: String, _ fields: String..., body: String = "") -> Answer {
            .send(head(status, fields + ["Content-Length: \(body.utf8.count)"]) + body)
        }

        static func head(_ status: String, _ fields: [String]) -> String {
            "HTTP/1.1 \(status)\r\nConnection: close\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n"
        }
    }

    struct Request: Sendable {
        var line: String
        /// Values by lower-case name.
        var fields: [String: String]
        var body: String
    }

    let port: Int
    let requests = Recorder<Request>()

    /// A URL of the server.
    func url(_ path: String = "/topics/a", host: String = "127.0.0.1", user: String = "") -> String {
        "http://\(user)\(host):\(port)\(path)"
    }

    private let listener: CInt

    /// Starts a server.
    ///
    /// - Parameter answer: Returns the response to a request.
    /// - Throws: `POSIXError` if no port is available.
    init(_ answer: @escaping @Sendable (Request) -> Answer) throws {
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = listener
        let isListening = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, size) == 0 && listen(listener, 128) == 0 && getsockname(listener, $0, &size) == 0
            }
        }
        guard isListening else { throw POSIXError(.EADDRNOTAVAIL) }
        port = Int(UInt16(bigEndian: address.sin_port))
        let requests = requests
        Thread.detachNewThread {
            while case let connection = accept(listener, nil, nil), connection >= 0 {
                // Keeps processes that other tests start from inheriting the socket.
                _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
                Thread.detachNewThread {
                    Self.serve(connection, requests, answer)
                    close(connection)
                }
            }
            // Not closed in `deinit`: another server could reuse the number while this thread still accepts from it.
            close(listener)
        }
    }

    deinit {
        // Wakes the thread that accepts.
        shutdown(listener, Int32(SHUT_RDWR))
    }

    private static func serve(_ connection: CInt, _ requests: Recorder<Request>, _ answer: (Request) -> Answer) {
        guard let request = read(connection) else { return }
        requests.record(request)
        switch answer(request) {
        case .send(let text):
            send(text, to: connection)
            // Avoids a reset while the client is still sending.
            shutdown(connection, Int32(SHUT_WR))
            waitForEnd(connection)
        case .hold(let text):
            send(text, to: connection)
            waitForEnd(connection)
        }
    }

    private static func waitForEnd(_ connection: CInt) {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        while recv(connection, &bytes, bytes.count, 0) > 0 {}
    }

    private static func send(_ text: String, to connection: CInt) {
        let bytes = Array(text.utf8)
        var at = 0
        while at < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(connection, $0.baseAddress?.advanced(by: at), bytes.count - at, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            at += count
        }
    }

    private static func read(_ connection: CInt) -> Request? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        func more() -> Bool {
            let count = recv(connection, &buffer, buffer.count, 0)
            if count > 0 { bytes += buffer[..<count] }
            return count > 0
        }
        while true {
            if bytes.first == 0x16 {
                // A plain HTTP server responds to a TLS handshake with 400.
                send("HTTP/1.1 400 Bad Request\r\n\r\n", to: connection)
                shutdown(connection, Int32(SHUT_WR))
                waitForEnd(connection)
                return nil
            }
            if let end = bytes.firstRange(of: Array("\r\n\r\n".utf8))?.upperBound {
                let lines = String(decoding: bytes[..<end], as: UTF8.self).components(separatedBy: "\r\n")
                var fields: [String: String] = [:]
                for line in lines.dropFirst() {
                    let parts = line.split(separator: ":", maxSplits: 1)
                    guard parts.count == 2 else { continue }
                    fields[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces)
                }
                let length = fields["content-length"].flatMap { Int($0) } ?? 0
                while bytes.count < end + length { guard more() else { return nil } }
                return Request(
                    line: lines.first ?? "",
                    fields: fields,
                    body: String(decoding: bytes[end...], as: UTF8.self)
                )
            }
            guard more() else { return nil }
        }
    }
}

#endif
