// SPDX-License-Identifier: Apache-2.0

// A reactor behind the least of an HTTP server, to measure it beside `ssefloor`, which has the same:
//
//     ReactorProbe [PORT]        on 127.0.0.1 (8901); GET subscribes to its path, POST publishes its body there

#if os(Linux)

import CPlinthLinux
import Logging
import PlinthEvents
import PlinthHub
import PlinthReactor
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A request whose end has not come.
struct Connection {
    var input: [UInt8] = []
}

/// The last event that history has told of.
let published = Atomic<UInt64>(0)

/// Accepts, reads requests, answers.
struct Front {
    let history: MemoryHistory
    let reactor: Reactor
    let listener: CInt
    let epoll = epoll_create1(0)
    var connections: [CInt: Connection] = [:]
    var selections: [[UInt8]: Selection] = [:]

    static let streamHead = Array(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n".utf8
    )
    static let created = Array("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n".utf8)

    mutating func run() {
        watch(listener)
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        while true {
            let count = epoll_wait(epoll, &events, CInt(events.count), -1)
            for index in 0..<max(0, Int(count)) {
                let descriptor = CInt(events[index].data.fd)
                if descriptor == listener { acceptAll() } else { read(descriptor) }
            }
        }
    }

    func watch(_ descriptor: CInt) {
        var event = epoll_event()
        event.events = 1
        event.data.fd = descriptor
        epoll_ctl(epoll, 1, descriptor, &event)
    }

    mutating func acceptAll() {
        for _ in 0..<64 {
            let descriptor = accept(listener, nil, nil)
            guard descriptor >= 0 else { return }
            var on: CInt = 1
            setsockopt(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, &on, 4)
            connections[descriptor] = Connection()
            watch(descriptor)
        }
    }

    mutating func read(_ descriptor: CInt) {
        var buffer = [UInt8](repeating: 0, count: 16 * 1024)
        let count = recv(descriptor, &buffer, buffer.count, CInt(MSG_DONTWAIT))
        if count < 0, errno == EAGAIN { return }
        guard count > 0, var connection = connections[descriptor] else { return leave(descriptor) }
        connections[descriptor] = nil
        connection.input += buffer[..<count]
        while let end = connection.input.firstRange(of: Array("\r\n\r\n".utf8))?.upperBound {
            let head = connection.input[..<end]
            let parts = head.split(separator: 0x20, maxSplits: 2)
            guard parts.count == 3 else { return leave(descriptor) }
            let path = Array(parts[1])
            if parts[0].elementsEqual("GET".utf8) { return subscribe(descriptor, path, head) }
            let length = field("content-length", head).flatMap { Int(String(decoding: $0, as: UTF8.self)) } ?? 0
            guard connection.input.count >= end + length else { break }
            publish(connection.input[end..<end + length], path)
            guard send(descriptor, Self.created, Self.created.count, CInt(MSG_NOSIGNAL)) == Self.created.count else {
                return leave(descriptor)
            }
            connection.input.removeFirst(end + length)
        }
        connections[descriptor] = connection
    }

    func field(_ name: String, _ head: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        for line in head.split(separator: 0x0A) {
            guard let colon = line.firstIndex(of: 0x3A) else { continue }
            let found = String(decoding: line[..<colon], as: UTF8.self).lowercased()
            if found == name { return line[(colon + 1)...].drop { $0 == 0x20 }.prefix { $0 != 0x0D } }
        }
        return nil
    }

    mutating func leave(_ descriptor: CInt) {
        connections[descriptor] = nil
        close(descriptor)
    }

    mutating func subscribe(_ descriptor: CInt, _ path: [UInt8], _ head: ArraySlice<UInt8>) {
        var event = epoll_event()
        epoll_ctl(epoll, 2, descriptor, &event)
        _ = send(descriptor, Self.streamHead, Self.streamHead.count, CInt(MSG_NOSIGNAL))
        guard let topic = try? Topic(utf8: path) else { return leave(descriptor) }
        let selection = selections[path] ?? Selection([.exact(topic)])
        selections[path] = selection
        var start = LocatedStart(position: Position(published.load(ordering: .acquiring)))
        if let id = field("last-event-id", head).flatMap({ EventID(utf8: Array($0)) }) {
            if case .found(let position) = history.locateNow(id) {
                start.position = position
            } else {
                start.unknown = id
            }
        }
        let form = StreamForm(isChunked: true, namesTopic: false)
        reactor.adopt(descriptor, StreamRequest(selection: selection, start: start, form: form) { _ in })
    }

    func publish(_ body: ArraySlice<UInt8>, _ path: [UInt8]) {
        guard let topic = try? Topic(utf8: path) else { return }
        let event = ServerSentEvent(data: String(decoding: body, as: UTF8.self))
        _ = try? history.appendNow([NewEvent(event, topics: [topic])])
    }
}

func listen(port: UInt16) -> CInt {
    let listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0)
    var on: CInt = 1
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, 4)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let bound = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard bound == 0, listen(listener, 4096) == 0 else { fatalError("cannot listen on port \(port)") }
    return listener
}

var limit = rlimit()
getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
limit.rlim_cur = limit.rlim_max
setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
signal(SIGPIPE, SIG_IGN)

let history = MemoryHistory()
let reactor = try Reactor(
    history: history,
    options: StreamOptions(),
    head: .zero,
    logger: Logger(label: "probe")
)
_ = try await history.open { entries in
    if let last = entries.last { published.store(last.position.number, ordering: .releasing) }
    reactor.enqueue(entries)
}
try reactor.start()
var front = Front(
    history: history,
    reactor: reactor,
    listener: listen(port: CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 8901)
)
front.run()

#endif
