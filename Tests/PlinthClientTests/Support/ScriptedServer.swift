// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import PlinthTestSupport
import Foundation
import Glibc
import Synchronization

/// A server that misbehaves as scripted, with one thread per connection.
///
/// Each connection takes the next script; the last one serves all further connections.
final class ScriptedServer: Sendable {
    enum Step: Sendable {
        case send([UInt8])
        /// Sends one byte per write.
        case drip([UInt8])
        /// Sends until the client leaves.
        case flood([UInt8])
        /// Waits for the client to leave.
        case hold
        /// Waits until the test opens the gate.
        case wait(Gate)
        /// RST instead of FIN.
        case reset

        static func send(_ text: String) -> Step { .send(Array(text.utf8)) }
        static func drip(_ text: String) -> Step { .drip(Array(text.utf8)) }

        /// The head of an event stream that ends with the connection.
        static let head = Step.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        /// The head of an event stream in chunks.
        static let chunkedHead = Step.send(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )

        static func chunk(_ text: String) -> Step {
            .send("\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n")
        }

        /// A response without a body.
        static func status(_ status: String, _ fields: String...) -> Step {
            .send("HTTP/1.1 \(status)\r\n" + fields.map { $0 + "\r\n" }.joined() + "Content-Length: 0\r\n\r\n")
        }
    }

    /// Opened by a test.
    final class Gate: Sendable {
        private let semaphore = Mutex<Bool>(false)
        func open() { semaphore.withLock { $0 = true } }
        var isOpen: Bool { semaphore.withLock { $0 } }
    }

    typealias Request = LoopbackListener.Request

    var port: Int { listener.port }
    let requests = Recorder<Request>()
    /// The numbers of connections that the client or the server closed.
    let ended = Recorder<Int>()
    /// The number of bytes sent.
    let sent = Atomic<Int>(0)

    var url: String { "http://127.0.0.1:\(port)/" }

    private let listener: LoopbackListener
    private let scripts: [[Step]]
    /// Called for each request, if the server answers all of them with 200.
    private let answering: (@Sendable (Request) -> Void)?

    convenience init(_ scripts: [Step]...) throws {
        try self.init(scripts: scripts)
    }

    convenience init(answering: @escaping @Sendable (Request) -> Void) throws {
        try self.init(scripts: [], answering: answering)
    }

    private init(scripts: [[Step]], answering: (@Sendable (Request) -> Void)? = nil) throws {
        self.scripts = scripts
        self.answering = answering
        listener = try LoopbackListener()
        listener.start { [weak self] connection, number in
            guard let self else {
                close(connection)
                return
            }
            serve(connection, number)
        }
    }

    private func serve(_ connection: CInt, _ number: Int) {
        defer {
            close(connection)
            ended.record(number)
        }
        if let answering {
            while let request = LoopbackListener.read(connection) {
                answering(request)
                guard send(Array("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".utf8), to: connection) else { return }
            }
            return
        }
        guard let request = LoopbackListener.read(connection) else { return }
        requests.record(request)
        guard let script = scripts.indices.contains(number) ? scripts[number] : scripts.last else { return }
        for step in script {
            switch step {
            case .send(let bytes):
                guard send(bytes, to: connection) else { return }
            case .drip(let bytes):
                var one: CInt = 1
                setsockopt(connection, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<CInt>.size))
                for byte in bytes where !send([byte], to: connection) { return }
            case .flood(let bytes):
                while send(bytes, to: connection) {}
            case .hold:
                var byte: UInt8 = 0
                while recv(connection, &byte, 1, 0) > 0 {}
            case .wait(let gate):
                while !gate.isOpen {
                    if !Self.isConnected(connection) { return }
                }
            case .reset:
                var option = linger(l_onoff: 1, l_linger: 0)
                setsockopt(connection, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
                return
            }
        }
    }

    /// Whether the client is still connected; waits up to 5 ms.
    private static func isConnected(_ connection: CInt) -> Bool {
        var poll = pollfd(fd: connection, events: Int16(POLLIN), revents: 0)
        guard Glibc.poll(&poll, 1, 5) > 0 else { return true }
        var byte: UInt8 = 0
        return recv(connection, &byte, 1, Int32(MSG_PEEK)) > 0
    }

    private func send(_ bytes: [UInt8], to connection: CInt) -> Bool {
        let count = LoopbackListener.send(bytes, to: connection)
        sent.add(count, ordering: .relaxed)
        return count == bytes.count
    }
}

#endif
