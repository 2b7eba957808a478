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

    typealias Request = LoopbackListener.Request

    var port: Int { listener.port }
    let requests = Recorder<Request>()

    /// A URL of the server.
    func url(_ path: String = "/topics/a", host: String = "127.0.0.1", user: String = "") -> String {
        "http://\(user)\(host):\(port)\(path)"
    }

    private let listener: LoopbackListener

    /// Starts a server.
    ///
    /// - Parameter answer: Returns the response to a request.
    /// - Throws: `POSIXError` if no port is available.
    init(_ answer: @escaping @Sendable (Request) -> Answer) throws {
        listener = try LoopbackListener()
        listener.start { [requests] connection, _ in
            Self.serve(connection, requests, answer)
            close(connection)
        }
    }

    private static func serve(_ connection: CInt, _ requests: Recorder<Request>, _ answer: (Request) -> Answer) {
        guard let request = LoopbackListener.read(connection) else { return }
        requests.record(request)
        switch answer(request) {
        case .send(let text):
            _ = LoopbackListener.send(Array(text.utf8), to: connection)
            // Avoids a reset while the client is still sending.
            shutdown(connection, Int32(SHUT_WR))
            LoopbackListener.waitForEnd(connection)
        case .hold(let text):
            _ = LoopbackListener.send(Array(text.utf8), to: connection)
            LoopbackListener.waitForEnd(connection)
        }
    }
}

#endif
