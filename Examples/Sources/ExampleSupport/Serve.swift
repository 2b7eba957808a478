// SPDX-License-Identifier: Apache-2.0

import Foundation
public import Plinth
public import PlinthServer

/// Serves a chain, with the services of hubs beside it, until SIGTERM or Ctrl-C.
///
/// `--host` and `--port` set the address. Port 0 lets the system choose; the server prints the port once it listens.
///
/// Default: http://localhost:8080.
public func serve(
    _ chain: Chain,
    alongside services: [HubService] = [],
    settings: Settings = Settings()
) async throws {
    let port = settings["port"].flatMap { Int($0) } ?? 8080
    let address = ListenAddress.tcp(host: settings["host"] ?? "127.0.0.1", port: port)
    let connector = Connector(chain, configuration: ConnectorConfiguration(addresses: [address]))
    async let running: Void = connector.runService(alongside: services)
    for address in try await connector.listeningAddresses() {
        say("listening on http://\(address)")
    }
    try await running
}

/// Prints a line and flushes it, so that it appears at once even in a pipe.
public func say(_ line: String) {
    print(line)
    fflush(nil)
}
