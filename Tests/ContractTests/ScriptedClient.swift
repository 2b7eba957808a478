// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport

/// How a scripted client leaves.
enum Leaving: String, Sendable {
    case close
    /// Resets the TCP connection (RST).
    case reset
    /// Resets the HTTP/2 stream (RST_STREAM), and keeps the connection.
    case resetStream
    /// Closes the sending side of the TCP connection, and reads on.
    case halfClose
}

/// A client for what curl cannot do: it requests a stream, reads up to a text, and leaves.
struct ScriptedClient: Sendable {
    private let leaving: Leaving
    private let process: ChildProcess

    /// Starts a client; a slow one takes ``ContractServer/slowReading`` to read 15 MB.
    init(_ way: Way, port: Int, _ target: String, until mark: String, _ leaving: Leaving, readsSlowly: Bool) throws {
        self.leaving = leaving
        let version =
            switch way {
            case .http10: "1.0"
            case .h2c, .http2, .hubHTTP2: "2"
            default: "1.1"
            }
        let tls = way.isSecure ? "tls" : "plain"
        let rate = readsSlowly ? "\(15_000_000 / (ContractServer.slowReading / .seconds(1)))" : "inf"
        process = try ChildProcess(
            "python3",
            ["-c", Self.script, "\(port)", target, version, tls, mark, leaving.rawValue, rate]
        )
    }

    /// Waits for the client's end: after a half-close, it reads until the server closes.
    func finish() async throws {
        if leaving == .resetStream { return process.kill() }
        let result = try await process.result()
        try must(result.status == 0, result.errors)
    }

    /// HTTP/2 is in its plainest form: fields of HPACK that enter no table (RFC 7541, section 6.2.2), and windows that
    /// never fill.
    private static let script = """
        import socket, ssl, struct, sys, time
        port, target, version, security, mark, leaving, rate = sys.argv[1:]
        connection = socket.create_connection(("127.0.0.1", int(port)))
        if security == "tls":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(["h2" if version == "2" else "http/1.1"])
            connection = context.wrap_socket(connection)

        def frame(kind, flags, stream, payload=b""):
            return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload

        def pieces():
            while piece := connection.recv(65536):
                time.sleep(len(piece) / float(rate))
                yield piece

        def data():
            rest = b""
            for piece in pieces():
                rest += piece
                while len(rest) >= 9 and len(rest) >= 9 + int.from_bytes(rest[:3], "big"):
                    end = 9 + int.from_bytes(rest[:3], "big")
                    if rest[3] == 0:
                        yield rest[9:end]
                    rest = rest[end:]

        if version == "2":
            largest = 2**31 - 1
            windows = frame(4, 0, 0, struct.pack(">HI", 4, largest))
            windows += frame(8, 0, 0, struct.pack(">I", largest - 65535))
            path = target.encode()
            # GET, the scheme, :path, :authority.
            fields = b"\\x82" + (b"\\x87" if security == "tls" else b"\\x86")
            fields += b"\\x04" + bytes([len(path)]) + path + b"\\x01\\x04test"
            # END_STREAM and END_HEADERS.
            connection.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + windows + frame(1, 5, 1, fields))
        else:
            connection.sendall(f"GET {target} HTTP/{version}\\r\\nHost: test\\r\\n\\r\\n".encode())
        mark, seen, count = mark.encode(), b"", 0
        for piece in data() if version == "2" else pieces():
            seen = seen[-1000:] + piece
            count += len(piece)
            if mark in seen:
                break
        else:
            sys.exit(f"the end after {count} bytes, {seen[-1000:]!r}, without {mark!r}")

        if leaving == "close":
            connection.close()
        elif leaving == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        else:
            if leaving == "resetStream":
                # CANCEL.
                connection.sendall(frame(3, 0, 1, struct.pack(">I", 8)))
            else:
                # Not of `SSLSocket`, which would give up TLS.
                socket.socket.shutdown(connection, socket.SHUT_WR)
            while connection.recv(65536):
                pass
        """
}

#endif
