// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import PlinthTestSupport
import Foundation
import Glibc
import PlinthEvents
import Testing

/// A failure of a socket, or its timeout.
struct ClientError: Error, CustomStringConvertible {
    let description: String
}

/// How a client and the reactor are connected.
enum SocketKind: CaseIterable {
    case tcp, unix
}

/// The client's end of a connection, in raw bytes.
///
/// Blocking calls run on a thread of their own, so that they do not block Swift's pool. One task at a time uses it.
final class Client: @unchecked Sendable {
    private(set) var descriptor: CInt
    private var pending: [UInt8] = []

    init(descriptor: CInt) {
        self.descriptor = descriptor
        var limit = timeval(tv_sec: 30, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close() }

    /// A connected pair: the client, and the descriptor of the other end.
    ///
    /// `buffer` is the approximate size of each end's kernel buffers; nil for the default.
    static func pair(_ transport: SocketKind = .tcp, buffer: CInt? = nil) throws -> (Client, CInt) {
        let cloexec = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        var ends: [CInt] = [-1, -1]
        switch transport {
        case .unix:
            guard socketpair(AF_UNIX, cloexec, 0, &ends) == 0 else { throw ClientError(description: "socketpair") }
            for end in ends { Self.limit(end, buffer) }
        case .tcp:
            let listener = socket(AF_INET, cloexec, 0)
            defer { Glibc.close(listener) }
            Self.limit(listener, buffer)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            ends[0] = socket(AF_INET, cloexec, 0)
            Self.limit(ends[0], buffer)
            let end = ends[0]
            let isConnected = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(listener, $0, size) == 0 && listen(listener, 1) == 0 && getsockname(listener, $0, &size) == 0
                        && connect(end, $0, size) == 0
                }
            }
            guard isConnected else { throw ClientError(description: "cannot connect: errno \(errno)") }
            ends[1] = accept(listener, nil, nil)
            _ = fcntl(ends[1], F_SETFD, FD_CLOEXEC)
        }
        _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
        return (Client(descriptor: ends[0]), ends[1])
    }

    private static func limit(_ descriptor: CInt, _ buffer: CInt?) {
        guard var size = buffer else { return }
        setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, 4)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4)
    }

    /// Sends until everything is sent, or sending fails.
    ///
    /// - Returns: The number of bytes sent.
    @discardableResult
    func send(_ bytes: [UInt8]) async -> Int {
        await onThread { self.sendHere(bytes) }
    }

    private func sendHere(_ bytes: [UInt8]) -> Int {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress?.advanced(by: sent), bytes.count - sent, CInt(MSG_NOSIGNAL))
            }
            if count <= 0 { break }
            sent += count
        }
        return sent
    }

    /// Sends until the peer is gone.
    func flood() async {
        let block = [UInt8](repeating: 0x78, count: 64 * 1024)
        await onThread { while self.sendHere(block) == block.count {} }
    }

    /// Reads `count` bytes.
    func read(_ count: Int) async throws -> [UInt8] {
        try await onThread { () throws -> [UInt8] in
            while self.pending.count < count {
                guard try self.receive() else { throw ClientError(description: "the stream ended early") }
            }
            defer { self.pending.removeFirst(count) }
            return Array(self.pending[..<count])
        }
    }

    /// Reads up to and including a mark.
    func read(until mark: String) async throws -> [UInt8] {
        let mark = Array(mark.utf8)
        return try await onThread { () throws -> [UInt8] in
            while true {
                if let range = self.pending.firstRange(of: mark) {
                    defer { self.pending.removeFirst(range.upperBound) }
                    return Array(self.pending[..<range.upperBound])
                }
                guard try self.receive() else { throw ClientError(description: "the stream ended early") }
            }
        }
    }

    /// Reads until the peer closes its output.
    func readToEnd() async throws -> [UInt8] {
        try await onThread { () throws -> [UInt8] in
            while try self.receive() {}
            defer { self.pending = [] }
            return self.pending
        }
    }

    /// - Returns: False at the end of input.
    private func receive() throws -> Bool {
        var buffer = [UInt8](repeating: 0, count: 256 * 1024)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count >= 0 else { throw ClientError(description: "recv: errno \(errno)") }
        pending += buffer[..<count]
        return count > 0
    }

    /// Half-closes the connection.
    func finishOutput() { shutdown(descriptor, CInt(SHUT_WR)) }

    /// Closes with a reset.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close()
    }

    func close() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
    }
}

/// A socket's inode number, which no later socket gets.
func socketNumber(_ descriptor: CInt) -> UInt {
    var status = stat()
    return fstat(descriptor, &status) == 0 ? UInt(status.st_ino) : 0
}

/// The inode numbers of the process's open sockets.
func openSockets() -> Set<UInt> {
    var numbers: Set<UInt> = []
    for descriptor in (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? [] {
        guard let descriptor = CInt(descriptor) else { continue }
        var status = stat()
        if fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK { numbers.insert(UInt(status.st_ino)) }
    }
    return numbers
}

/// Decodes a chunked body.
func unchunked(_ body: [UInt8]) throws -> (bytes: [UInt8], isComplete: Bool) {
    var bytes: [UInt8] = []
    var rest = body[...]
    while let end = rest.firstRange(of: [0x0D, 0x0A]) {
        guard let size = Int(String(decoding: rest[..<end.lowerBound], as: UTF8.self), radix: 16) else {
            throw ClientError(description: "not a chunk")
        }
        rest = rest[end.upperBound...]
        guard rest.count >= size + 2 else { break }
        guard rest.dropFirst(size).prefix(2).elementsEqual([0x0D, 0x0A]) else {
            throw ClientError(description: "a chunk without CRLF")
        }
        if size == 0 { return (bytes, rest.count == 2) }
        bytes += rest.prefix(size)
        rest = rest.dropFirst(size + 2)
    }
    return (bytes, false)
}

/// The events of a chunked body.
func events(_ body: [UInt8]) throws -> [ServerSentEvent] {
    var events: [ServerSentEvent] = []
    var parser = ServerSentEventParser()
    try parser.parse(try unchunked(body).bytes) { events.append($0) }
    return events
}

#endif
