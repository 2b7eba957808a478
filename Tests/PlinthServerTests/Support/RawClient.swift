// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport
import Dispatch
import Foundation
import Glibc
import Synchronization

/// A raw TCP or Unix socket.
///
/// Every call has a deadline. Calls block a thread of their own, none of the server's.
final class RawClient: Sendable {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let descriptor: CInt
    private let isOpen = Mutex(true)
    /// Bytes read beyond those asked for.
    private let pending = Mutex<[UInt8]>([])

    private init(_ descriptor: CInt) {
        self.descriptor = descriptor
    }

    deinit {
        close()
    }

    /// Connects to a port on the loopback interface; a small receive buffer makes a slow client.
    static func connect(port: Int, receiveBuffer: Int? = nil) async throws -> RawClient {
        try await blocking { try connectNow(port: port, receiveBuffer: receiveBuffer) }
    }

    static func connectNow(port: Int, receiveBuffer: Int? = nil) throws -> RawClient {
        let client = RawClient(openSocket(AF_INET))
        guard client.descriptor >= 0 else { throw Failure(description: "socket: errno \(errno)") }
        if let receiveBuffer { client.set(SO_RCVBUF, receiveBuffer) }
        var one: CInt = 1
        setsockopt(client.descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<CInt>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port)).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(client.descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw Failure(description: "connect to port \(port): errno \(errno)") }
        client.makeNonBlocking()
        return client
    }

    /// Connects to a Unix socket.
    static func connect(path: String) async throws -> RawClient {
        try await blocking {
            let client = RawClient(openSocket(AF_UNIX))
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
            let result = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.connect(client.descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            guard result == 0 else { throw Failure(description: "connect to \(path): errno \(errno)") }
            client.makeNonBlocking()
            return client
        }
    }

    /// A socket bound to a port that the system chooses.
    static func listening() -> RawClient {
        let client = RawClient(openSocket(AF_INET))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        _ = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(client.descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        return client
    }

    /// The local port.
    var localPort: Int? {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        return result == 0 ? Int(UInt16(bigEndian: address.sin_port)) : nil
    }

    private func makeNonBlocking() {
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }

    private func set(_ option: CInt, _ value: Int) {
        var value = CInt(value)
        setsockopt(descriptor, SOL_SOCKET, option, &value, socklen_t(MemoryLayout<CInt>.size))
    }

    private static func blocking<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws
        -> Result
    {
        try await onThread { Swift.Result { try body() } }.get()
    }

    // MARK: - Leaving

    /// Sends FIN, as when a process ends.
    func close() {
        let wasOpen = isOpen.withLock { isOpen in
            defer { isOpen = false }
            return isOpen
        }
        if wasOpen { _ = Glibc.close(descriptor) }
    }

    /// Sends RST.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close()
    }

    /// Half-closes: sends FIN, and can still read.
    func shutdownWrite() {
        _ = shutdown(descriptor, Int32(SHUT_WR))
    }

    // MARK: - Sending

    func send(_ text: String) async throws {
        try await send(Array(text.utf8))
    }

    func send(_ bytes: [UInt8], within limit: Double = patience / .seconds(1)) async throws {
        let sent = try await sendWhatFits(bytes, within: limit)
        guard sent == bytes.count else { throw Failure(description: "only \(sent) of \(bytes.count) bytes were taken") }
    }

    /// Sends until everything is sent, the peer resets, or no bytes have been taken for `limit` seconds.
    ///
    /// - Returns: The number of bytes taken.
    func sendWhatFits(_ bytes: [UInt8], within limit: Double) async throws -> Int {
        try await Self.blocking { [self] in
            var sent = 0
            while sent < bytes.count {
                let count = bytes.withUnsafeBytes { raw in
                    Glibc.send(
                        descriptor,
                        raw.baseAddress?.advanced(by: sent),
                        bytes.count - sent,
                        Int32(MSG_NOSIGNAL)
                    )
                }
                if count > 0 { sent += count; continue }
                guard errno == EAGAIN, wait(for: POLLOUT, until: DispatchTime.now() + limit) else { break }
            }
            return sent
        }
    }

    /// Sends what the socket takes at once.
    func sendNow(_ bytes: [UInt8]) {
        _ = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }

    // MARK: - Reading

    enum Ending: Sendable, Equatable {
        case end
        /// Reset by the peer, unless the number of the error says otherwise.
        case reset(errno: CInt)
    }

    /// Reads up to and including a text.
    func read(until mark: String, within limit: Double = patience / .seconds(1)) async throws -> String {
        let mark = Array(mark.utf8)
        return try await Self.blocking { [self] in
            try gather(limit) { bytes in bytes.firstRange(of: mark).map { $0.upperBound } }
        }
    }

    /// Reads `count` bytes.
    func read(count: Int, within limit: Double = patience / .seconds(1)) async throws -> [UInt8] {
        try await Self.blocking { [self] in
            let start = DispatchTime.now()
            while pending.withLock({ $0.count }) < count {
                switch receive(until: start + limit) {
                case .bytes: continue
                case .nothing, .ended: throw Failure(description: "waited for \(count) bytes, got \(shown)")
                }
            }
            return pending.withLock { pending in
                let taken = Array(pending.prefix(count))
                pending.removeFirst(count)
                return taken
            }
        }
    }

    /// Reads until the peer closes.
    func readToEnd(within limit: Double = patience / .seconds(1)) async throws -> String {
        String(decoding: try await readAll(within: limit).bytes, as: UTF8.self)
    }

    /// Reads until the peer closes or resets.
    func readAll(within limit: Double = patience / .seconds(1)) async throws -> (bytes: [UInt8], ending: Ending) {
        try await Self.blocking { [self] in try readAllNow(within: limit) }
    }

    func readAllNow(within limit: Double = patience / .seconds(1)) throws -> (bytes: [UInt8], ending: Ending) {
        let start = DispatchTime.now()
        while true {
            switch receive(until: start + limit) {
            case .bytes: continue
            case .nothing: throw Failure(description: "the server did not close; it sent \(shown)")
            case .ended(let ending): return (pending.withLock { $0 }, ending)
            }
        }
    }

    /// Whether neither bytes nor the end arrive for `limit` seconds.
    func isQuiet(for limit: Double) async throws -> Bool {
        try await Self.blocking { [self] in
            guard pending.withLock({ $0.isEmpty }) else { return false }
            if case .nothing = receive(until: DispatchTime.now() + limit) { return true }
            return false
        }
    }

    private enum Received {
        case bytes
        case nothing
        case ended(Ending)
    }

    private func gather(_ limit: Double, _ found: ([UInt8]) -> Int?) throws -> String {
        let start = DispatchTime.now()
        while true {
            if let end = pending.withLock({ found($0) }) {
                return pending.withLock { pending in
                    let text = String(decoding: pending.prefix(end), as: UTF8.self)
                    pending.removeFirst(end)
                    return text
                }
            }
            switch receive(until: start + limit) {
            case .bytes: continue
            case .nothing: throw Failure(description: "timed out; received \(shown)")
            case .ended(let how): throw Failure(description: "the server closed (\(how)) after \(shown)")
            }
        }
    }

    private var shown: String { pending.withLock { String(decoding: $0.prefix(2000), as: UTF8.self).debugDescription } }

    private func receive(until deadline: DispatchTime) -> Received {
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
            if count > 0 {
                pending.withLock { $0.append(contentsOf: buffer[..<count]) }
                return .bytes
            }
            if count == 0 { return .ended(.end) }
            let error = errno
            if error != EAGAIN { return .ended(.reset(errno: error)) }
            if !wait(for: POLLIN, until: deadline) { return .nothing }
        }
    }

    private func wait(for events: CInt, until deadline: DispatchTime) -> Bool {
        let now = DispatchTime.now()
        guard deadline > now else { return false }
        var poll = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        let milliseconds = (deadline.uptimeNanoseconds - now.uptimeNanoseconds) / 1_000_000
        return Glibc.poll(&poll, 1, CInt(milliseconds) + 1) > 0
    }
}

/// A stream socket that no child process inherits.
///
/// Tests run concurrently: a child process that inherited a socket closed here would keep the connection open, and the
/// server would never see the client leave.
func openSocket(_ family: CInt) -> CInt {
    socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
}

#endif
