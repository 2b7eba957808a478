// SPDX-License-Identifier: Apache-2.0

import Foundation
public import Plinth
public import PlinthServer

/// Serves a chain until SIGTERM or Ctrl-C, on http://localhost:8080 unless `--host` and `--port` say otherwise.
///
/// Port 0 lets the system choose; the line that is printed once the server listens tells which it was.
///
/// The services of hubs run beside it.
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

/// Prints a line at once, even into a pipe.
public func say(_ line: String) {
    print(line)
    fflush(nil)
}
