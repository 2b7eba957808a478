// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import Foundation
import Glibc

/// A listening socket on the loopback interface for servers that tests script, with a thread per connection.
package final class LoopbackListener: Sendable {
    /// A request of HTTP/1.
    package struct Request: Sendable {
        package var line: String
        /// Values by lower-case name.
        package var fields: [String: String]
        package var body: String
    }

    package let port: Int
    private let descriptor: CInt

    /// Listens on a port that the system chooses.
    ///
    /// - Throws: `POSIXError` if no port is available.
    package init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let isListening = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 && listen(descriptor, 128) == 0
                    && getsockname(descriptor, $0, &size) == 0
            }
        }
        guard isListening else { throw POSIXError(.EADDRNOTAVAIL) }
        port = Int(UInt16(bigEndian: address.sin_port))
    }

    deinit {
        // Wakes the accepting thread.
        shutdown(descriptor, Int32(SHUT_RDWR))
    }

    /// Accepts connections until the listener is released; called once.
    ///
    /// - Parameter serve: Serves and closes a connection, on a thread of its own; gets its number, from 0.
    package func start(_ serve: @escaping @Sendable (_ connection: CInt, _ number: Int) -> Void) {
        let descriptor = descriptor
        Thread.detachNewThread {
            var number = 0
            while case let connection = accept(descriptor, nil, nil), connection >= 0 {
                // Keeps processes that other tests start from inheriting the socket.
                _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
                let mine = number
                number += 1
                Thread.detachNewThread { serve(connection, mine) }
            }
            // Not closed in `deinit`: another server could reuse the number while this thread still accepts from it.
            close(descriptor)
        }
    }

    // MARK: - On a connection

    /// Reads a request with its body; nil if the client left, or began a TLS handshake, which gets 400.
    package static func read(_ connection: CInt) -> Request? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        func more() -> Bool {
            let count = recv(connection, &buffer, buffer.count, 0)
            if count > 0 { bytes += buffer[..<count] }
            return count > 0
        }
        while true {
            if bytes.first == 0x16 {
                _ = send(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8), to: connection)
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

    /// Sends bytes, waiting for the client to read them.
    ///
    /// - Returns: The number of bytes sent: fewer if the client left.
    package static func send(_ bytes: [UInt8], to connection: CInt) -> Int {
        var at = 0
        while at < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(connection, $0.baseAddress?.advanced(by: at), bytes.count - at, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { break }
            at += count
        }
        return at
    }

    /// Reads until the client leaves.
    package static func waitForEnd(_ connection: CInt) {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        while recv(connection, &bytes, bytes.count, 0) > 0 {}
    }
}

#endif
