// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport
import Glibc
import Logging
import Plinth
import PlinthServer
import Testing

/// Where a connector listens, and its errors when it cannot.
@Suite("Listening")
struct ListeningTests {
    /// A listening socket, as inherited from a parent process.
    private func listeningDescriptor() throws -> CInt {
        let descriptor = openSocket(AF_INET)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(bound == 0 && listen(descriptor, 16) == 0)
        return descriptor
    }

    @Test("A connector listens on plain, TLS, Unix-socket and inherited addresses at once")
    func everywhere() async throws {
        let identity = try await Certificates.shared.identity()
        let path = try TemporaryFolder.shared.path("socket")
        let descriptor = try listeningDescriptor()
        let addresses: [ListenAddress] = [
            .tcp(port: 0), .tls(port: 0, identity: identity), .unix(path: path), .inherited(descriptor: descriptor),
        ]
        try await withServer([routes(["/": EventStreamTests.two])], configure: { $0.addresses = addresses }) { server in
            #expect(server.addresses.count == 4)
            #expect(server.addresses[2].path == path)
            #expect(server.addresses[2].description == path)
            for index in [0, 1, 3] {
                #expect(server.addresses[index].host == "127.0.0.1")
                #expect((server.addresses[index].port ?? 0) > 0)
            }
            let plain = try await RawClient.connect(port: server.addresses[0].port ?? 0)
            let inherited = try await RawClient.connect(port: server.addresses[3].port ?? 0)
            let unix = try await RawClient.connect(path: path)
            for client in [plain, inherited, unix] {
                try await client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
                #expect(try await client.readToEnd().contains("data: one\n\n"))
            }
            let port = server.addresses[1].port ?? 0
            let curl = try await ChildProcess.run("curl", ["-sk", "https://127.0.0.1:\(port)/"])
            #expect(curl.output.contains("data: one\n\n"))
        }
    }

    @Test("A Unix socket file left by an earlier process is replaced")
    func staleSocketFile() async throws {
        let path = try TemporaryFolder.shared.path("stale")
        for _ in 0..<2 {
            try await withServer([answering("x")], configure: { $0.addresses = [.unix(path: path)] }) { server in
                let client = try await RawClient.connect(path: path)
                #expect(try await client.get("/").body == "x")
            }
        }
    }

    @Test("An address in use fails run() and listeningAddresses() with an error that names it")
    func inUse() async throws {
        try await withServer([answering("x")]) { server in
            let port = server.port
            let second = Connector(
                Chain([answering("y")]),
                configuration: ConnectorConfiguration(addresses: [.tcp(port: 0), .tcp(port: port)]),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            )
            let waiting = Task { try await second.listeningAddresses() }
            let error = await #expect(throws: ConnectorError.self) {
                try await wait(for: "the error") { try await second.run() }
            }
            #expect(error?.code == .listen)
            #expect(error?.message.contains("\(port)") == true)
            await #expect(throws: ConnectorError.self) { try await waiting.value }
            await #expect(throws: ConnectorError.self) { try await second.listeningAddresses() }
        }
    }

    @Test("A configuration without addresses is an error")
    func noAddress() async throws {
        let connector = Connector(Chain([]), configuration: ConnectorConfiguration(addresses: []))
        let error = await #expect(throws: ConnectorError.self) { try await connector.run() }
        #expect(error?.code == .listen)
    }

    @Test("A connector runs once")
    func runsOnce() async throws {
        try await withServer([answering("x")]) { server in
            let error = await #expect(throws: ConnectorError.self) { try await server.connector.run() }
            #expect(error?.code == .alreadyRun)
            let client = try await server.client()
            #expect(try await client.get("/").body == "x")
        }
    }

    @Test("At the limit, further connections wait until one closes", arguments: [true, false])
    func maximumConnections(isInherited: Bool) async throws {
        let addresses: [ListenAddress] =
            isInherited ? [.inherited(descriptor: try listeningDescriptor())] : [.tcp(port: 0)]
        try await withServer(
            [answering("x")],
            configure: {
                $0.maximumConnections = 2
                $0.addresses = addresses
            }
        ) { server in
            var clients: [RawClient] = []
            for _ in 0..<6 { clients.append(try await server.client()) }
            for client in clients { try await client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n") }
            #expect(try await clients[0].response().body == "x")
            #expect(try await clients[1].response().body == "x")
            #expect(try await clients[2].isQuiet(for: 0.2))
            #expect(server.connector.activityCount <= 2)
            clients[0].close()
            #expect(try await clients[2].response().body == "x")
            #expect(try await clients[3].isQuiet(for: 0.1))
        }
    }

    @Test("An accepted connection probes a silent peer, and gives up unacknowledged bytes", arguments: [true, false])
    func options(isInherited: Bool) async throws {
        var addresses = [ListenAddress.tcp(port: 0)]
        var early: RawClient?
        if isInherited {
            let descriptor = try listeningDescriptor()
            addresses = [.inherited(descriptor: descriptor)]
            // As the connection that makes systemd start a service: established before the service has its socket.
            early = try await RawClient.connect(port: try #require(localPort(descriptor)))
        }
        try await withServer(
            [answering("x")],
            configure: {
                // Read back from the socket; nothing waits for it.
                $0.acknowledgementTimeout = .seconds(7)
                $0.addresses = addresses
            }
        ) { server in
            let client: RawClient
            if let early { client = early } else { client = try await server.client() }
            #expect(try await client.get("/").body == "x")
            let port = try #require(client.localPort)
            let accepted = try #require((0..<20_000).first { remotePort($0) == port })
            #expect(option(accepted, SOL_SOCKET, SO_KEEPALIVE) == 1)
            // TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT, TCP_NODELAY.
            for (name, value) in [(4, 60), (5, 15), (6, 4), (18, 7000), (1, 1)] as [(CInt, CInt)] {
                #expect(option(accepted, CInt(IPPROTO_TCP), name) == value)
            }
            client.close()
        }
    }

    private func localPort(_ descriptor: CInt) -> Int? {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        return result == 0 ? Int(UInt16(bigEndian: address.sin_port)) : nil
    }

    /// The port at the other end of a connection of this process; nil if the descriptor is none.
    private func remotePort(_ descriptor: CInt) -> Int? {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(descriptor, $0, &size) }
        }
        guard result == 0, address.sin_family == sa_family_t(AF_INET) else { return nil }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    private func option(_ descriptor: CInt, _ level: CInt, _ name: CInt) -> CInt? {
        var value: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        return getsockopt(descriptor, level, name, &value, &size) == 0 ? value : nil
    }

    // MARK: - TLS

    @Test("An encrypted key needs its password, which errors do not reveal")
    func password() async throws {
        let files = try await Certificates.shared
        let identity = try TLSIdentity(
            certificateChain: files.certificate,
            privateKey: files.lockedKey,
            password: "sesame"
        )
        try await withServer([answering("hello")], configure: { $0.addresses = [.tls(port: 0, identity: identity)] }) {
            server in
            let curl = try await ChildProcess.run("curl", ["-sk", "https://127.0.0.1:\(server.port)/"])
            #expect(curl.output == "hello")
        }
        for password in ["wrong", nil] {
            let error = #expect(throws: ConnectorError.self) {
                try TLSIdentity(certificateChain: files.certificate, privateKey: files.lockedKey, password: password)
            }
            #expect(error?.code == .tlsIdentity)
            #expect(error?.message.contains(files.lockedKey) == true)
            #expect(error?.message.contains("sesame") == false)
        }
    }

    @Test("A missing or invalid certificate or key is an error that names the file")
    func badFiles() async throws {
        let files = try await Certificates.shared
        for (certificate, key, named) in [
            ("/nowhere/certificate.pem", files.key, "/nowhere/certificate.pem"),
            (files.certificate, "/nowhere/key.pem", "/nowhere/key.pem"),
            (files.key, files.key, files.key),
            (files.certificate, "/etc/hostname", "/etc/hostname"),
        ] {
            let error = #expect(throws: ConnectorError.self) {
                try TLSIdentity(certificateChain: certificate, privateKey: key)
            }
            #expect(error?.code == .tlsIdentity)
            #expect(error?.message.contains(named) == true)
        }
    }

    @Test("A key that does not match the certificate fails run()")
    func mismatchedKey() async throws {
        let files = try await Certificates.shared
        let identity = try TLSIdentity(certificateChain: files.certificate, privateKey: files.otherKey)
        let connector = Connector(
            Chain([]),
            configuration: ConnectorConfiguration(addresses: [.tls(port: 0, identity: identity)])
        )
        let error = await #expect(throws: ConnectorError.self) {
            try await wait(for: "the error") { try await connector.run() }
        }
        #expect(error?.code == .tlsIdentity)
    }

    @Test("TLS on the plain port and plain HTTP on the TLS port are closed")
    func crossed() async throws {
        let identity = try await Certificates.shared.identity()
        try await withServer(
            [answering("x")],
            configure: {
                $0.addresses = [.tcp(port: 0), .tls(port: 0, identity: identity)]
                $0.headTimeout = .milliseconds(500)
            }
        ) { server in
            let curl = try await ChildProcess.run("curl", ["-sk", "-m", "5", "https://127.0.0.1:\(server.port)/"])
            #expect(curl.status != 0)
            let port = server.addresses[1].port ?? 0
            let plain = try await RawClient.connect(port: port)
            try await plain.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            _ = try await plain.readAll()
            // A silent client: the handshake has a deadline.
            let silent = try await RawClient.connect(port: port)
            _ = try await silent.readAll()
            let leaving = try await RawClient.connect(port: port)
            leaving.shutdownWrite()
            _ = try await leaving.readAll()
        }
    }
}

#endif
