// SPDX-License-Identifier: Apache-2.0

#if Command && Server && JWT
import Foundation
import PlinthJWT

#if Client
import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOSSL
#endif

/// The key set of `plinth serve --jwks`: a file, or a URL.
enum ServeKeySet {
    /// How a set is read: at once, which a file can be; and again later.
    struct Fetch {
        let now: (() throws -> [UInt8])?
        let later: @Sendable () async throws -> [UInt8]
    }

    /// How long a server may take for a set: 5 s.
    private static let timeout: Int64 = 5

    /// - Throws: ``ServeSettings/Failure`` if the place is no file and no `https` URL, or the CA file cannot be used.
    static func fetch(_ place: String, ca: String?) throws -> Fetch {
        guard let scheme = place.range(of: "://").map({ place[..<$0.lowerBound].lowercased() }) else {
            guard ca == nil else {
                throw ServeSettings.Failure(description: "--jwks-ca requires --jwks with a URL")
            }
            let read: @Sendable () throws -> [UInt8] = {
                try ServeFile.bytes(of: place, "--jwks", upTo: JWTKeys.maximumSetLength)
            }
            return Fetch(now: read, later: { try read() })
        }
        guard scheme == "https" else {
            throw ServeSettings.Failure(
                description: "--jwks \(place): only https, as whoever can change the keys on their way can sign tokens"
            )
        }
        #if Client
        return Fetch(now: nil, later: try fetch(url: place, ca: ca))
        #else
        throw ServeSettings.Failure(
            description: "--jwks: this program was built without a client; build it with the trait Client"
        )
        #endif
    }

    #if Client
    private static func fetch(url: String, ca: String?) throws -> @Sendable () async throws -> [UInt8] {
        var tls = TLSConfiguration.makeClientConfiguration()
        if let ca {
            // Read now, so that a bad file is found at the start.
            let bytes = try ServeFile.bytes(of: ca, "--jwks-ca", upTo: 1 << 20)
            do {
                let certificates = try NIOSSLCertificate.fromPEMBytes(bytes)
                guard !certificates.isEmpty else {
                    throw ServeSettings.Failure(description: "--jwks-ca \(ca): the file has no certificate")
                }
                tls.trustRoots = .certificates(certificates)
            } catch is NIOSSLError {
                throw ServeSettings.Failure(description: "--jwks-ca \(ca): the file is not a PEM certificate")
            }
        }
        guard URL(string: url)?.host() != nil else {
            throw ServeSettings.Failure(description: "--jwks \(url): this is no URL with a host")
        }
        var configuration = HTTPClient.Configuration(tlsConfiguration: tls, redirectConfiguration: .disallow)
        configuration.timeout = HTTPClient.Configuration.Timeout(connect: .seconds(timeout), read: .seconds(timeout))
        return { [configuration] in
            // A client for each fetch: in 15 minutes a kept connection is closed anyway.
            let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
            do {
                let bytes = try await withDeadline {
                    let response = try await client.execute(HTTPClientRequest(url: url), timeout: .seconds(timeout))
                    guard response.status == .ok else {
                        throw FetchFailure(reason: "the status is \(response.status.code)")
                    }
                    let body = try await response.body.collect(upTo: JWTKeys.maximumSetLength)
                    return Array(body.readableBytesView)
                }
                try await client.shutdown()
                return bytes
            } catch {
                try? await client.shutdown()
                throw error
            }
        }
    }

    /// Cancels a fetch that takes too long, however steadily its bytes arrive.
    private static func withDeadline(_ fetch: @escaping @Sendable () async throws -> [UInt8]) async throws -> [UInt8] {
        try await withThrowingTaskGroup(of: [UInt8].self) { group in
            group.addTask { try await fetch() }
            group.addTask {
                try await Task.sleep(for: .seconds(timeout))
                throw FetchFailure(reason: "it took longer than \(timeout) s")
            }
            defer { group.cancelAll() }
            return try await group.next() ?? []
        }
    }

    private struct FetchFailure: Error, CustomStringConvertible {
        let reason: String

        var description: String { reason }
    }
    #endif
}
#endif
