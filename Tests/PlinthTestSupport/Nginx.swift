// SPDX-License-Identifier: Apache-2.0

import Foundation

/// An nginx on its own port, which can be stopped and restarted.
package final class Nginx {
    package struct Missing: Error, CustomStringConvertible {
        package let description: String
    }

    package static let nchanModule = "/usr/lib/nginx/modules/ngx_nchan_module.so"

    package let port: Int
    private let folder: String
    private let file: String
    private var process: ChildProcess

    /// Starts nginx and waits until it listens.
    ///
    /// - Parameters:
    ///   - server: The directives in its only `server` block.
    ///   - http: Further directives in the `http` block.
    ///   - module: The path of a module to load.
    /// - Throws: ``Missing`` if the module does not exist.
    package init(_ server: String, http: String = "", module: String? = nil) async throws {
        if let module, !FileManager.default.fileExists(atPath: module) {
            throw Missing(description: "\(module) is missing: run `make test`, which installs it")
        }
        port = try LoopbackPort.free()
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("plinth-nginx-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        // The worker may run as another user, who needs access to the files.
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: folder)
        file = folder + "/nginx.conf"
        let configuration = """
            \(module.map { "load_module \($0);" } ?? "")
            daemon off;
            pid \(folder)/pid;
            error_log stderr crit;
            worker_processes 1;
            events { worker_connections 64; }
            http {
                access_log off;
                client_body_temp_path \(folder)/a; proxy_temp_path \(folder)/b; fastcgi_temp_path \(folder)/c;
                uwsgi_temp_path \(folder)/d; scgi_temp_path \(folder)/e;
                \(http)
                server { listen 127.0.0.1:\(port); \(server) }
            }
            """
        try configuration.write(toFile: file, atomically: true, encoding: .utf8)
        process = try ChildProcess("nginx", ["-p", folder, "-c", file])
        try await waitUntilListening()
    }

    deinit {
        process.terminate()
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// Stops nginx and closes all its connections.
    package func stop() async throws {
        process.terminate()
        _ = try await process.result()
    }

    /// Stops nginx, closes all its connections, and starts it again on the same port.
    package func restart() async throws {
        // SIGTERM is nginx's fast shutdown, also of its workers.
        try await stop()
        process = try ChildProcess("nginx", ["-p", folder, "-c", file])
        try await waitUntilListening()
    }

    private func waitUntilListening() async throws {
        let port = self.port
        try await wait(for: "nginx to listen") {
            // nginx does not report when it is listening.
            while try !LoopbackPort.isListening(port) { try await Task.sleep(for: .milliseconds(20)) }
        }
    }
}
