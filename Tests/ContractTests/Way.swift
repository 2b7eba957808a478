// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthServer

/// A way to serve a stream.
enum Way: String, CaseIterable, Sendable {
    case memory
    case http10 = "HTTP/1.0"
    case http11 = "HTTP/1.1"
    case tls = "TLS"
    case h2c
    case http2 = "HTTP/2"
    case process = "in process"
    case reactor
    case eventLoop = "event loop"
    case hubTLS = "hub, TLS"
    case hubHTTP2 = "hub, HTTP/2"

    static let ofApplications: [Way] = [.memory, .http10, .http11, .tls, .h2c, .http2]
    static let ofHubs: [Way] = [.process, .reactor, .eventLoop, .hubTLS, .hubHTTP2]

    /// Whether client and server are connected by a socket.
    var hasSocket: Bool { self != .memory && self != .process }

    var isSecure: Bool { [.tls, .http2, .hubTLS, .hubHTTP2].contains(self) }

    /// What a client can reset.
    var resets: [Leaving] { [.h2c, .http2, .hubHTTP2].contains(self) ? [.reset, .resetStream] : [.reset] }

    /// The options that make curl use this way.
    var curlOptions: [String] {
        switch self {
        case .memory, .process: []
        case .http10: ["--http1.0"]
        case .http11, .tls, .reactor, .eventLoop, .hubTLS: ["--http1.1"]
        case .h2c: ["--http2-prior-knowledge"]
        case .http2, .hubHTTP2: ["--http2"]
        }
    }

    var handOff: HubService.Configuration.HandOff { self == .eventLoop ? .never : .automatic }
}

#endif
