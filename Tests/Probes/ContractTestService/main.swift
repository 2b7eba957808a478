// SPDX-License-Identifier: Apache-2.0

// Exposes the client as a service, for external suites that test event stream clients:
//
//     contract-test-service --port N
//
// A suite creates clients by POST, commands them, and receives their events through callbacks.

#if Client && Server

import Foundation
import HTTPTypes
import Logging
import Plinth
import PlinthServer

func port() -> Int {
    let arguments = CommandLine.arguments
    guard arguments.count == 3, arguments[1] == "--port", let port = Int(arguments[2]), (0...65_535).contains(port)
    else {
        FileHandle.standardError.write(Data("usage: contract-test-service --port N\n".utf8))
        exit(64)
    }
    return port
}

func json(_ object: [String: Any]) throws -> Response {
    let data = try JSONSerialization.data(withJSONObject: object)
    return Response(headers: [.contentType: "application/json"], body: .bytes([UInt8](data)))
}

let streams = Streams()
let routes = try Routes {
    Route.get("/") { _ in
        try json(["name": "plinth", "capabilities": StreamOptions.capabilities])
    }
    Route.post("/") { request in
        guard let options = StreamOptions(try await request.body.collect(upTo: 64 << 20)) else {
            return .text("the options must be a JSON object with streamUrl and callbackUrl", status: .badRequest)
        }
        let number = streams.add(options)
        return Response(status: .created, headers: [.location: "/streams/\(number)"])
    }
    Route.delete("/") { _ in
        exit(0)
    }
    Route.post("/streams/:number") { request in
        guard let stream = streams.find(try request.pathParameters.require("number")) else {
            return .text("there is no such stream", status: .notFound)
        }
        guard let command = Command(try await request.body.collect(upTo: 1 << 20)), stream.run(command) else {
            return .text("no such command", status: .badRequest)
        }
        return Response(status: .accepted)
    }
    Route.delete("/streams/:number") { request in
        guard let stream = streams.remove(try request.pathParameters.require("number")) else {
            return .text("there is no such stream", status: .notFound)
        }
        await stream.end()
        return Response(status: .noContent)
    }
}
let connector = Connector(
    Chain.default(routes),
    configuration: ConnectorConfiguration(addresses: [.tcp(port: port())]),
    logger: Logger(label: "contract-test-service") { _ in SwiftLogNoOpLogHandler() }
)
async let running: Void = connector.runService()
for address in try await connector.listeningAddresses() {
    FileHandle.standardOutput.write(Data("listening on http://\(address)\n".utf8))
}
try await running

#endif
