// SPDX-License-Identifier: Apache-2.0

#if Client && Server

import Foundation
import HTTPTypes
import PlinthClient

/// A suite's options for a client.
struct StreamOptions: Decodable, Sendable {
    static let capabilities = [
        "bom", "comments", "headers", "last-event-id", "post", "report", "read-timeout", "restart",
        "server-directed-shutdown-request",
    ]

    var streamUrl: String
    var callbackUrl: String
    var initialDelayMs: Int?
    var readTimeoutMs: Int?
    var lastEventId: String?
    var headers: [String: String]?
    var method: String?
    var body: String?

    init?(_ bytes: [UInt8]) {
        guard let options = try? JSONDecoder().decode(StreamOptions.self, from: Data(bytes)),
            let stream = URL(string: options.streamUrl), let callback = URL(string: options.callbackUrl),
            stream.host != nil, callback.host != nil, options.method.map({ HTTPRequest.Method($0) != nil }) ?? true
        else { return nil }
        self = options
    }

    var configuration: EventSourceConfiguration {
        var configuration = EventSourceConfiguration()
        configuration.backoff = .none
        configuration.maximumEventSize = 256 << 20
        configuration.includesComments = true
        if let initialDelayMs { configuration.reconnectionTime = .milliseconds(max(initialDelayMs, 0)) }
        if let readTimeoutMs, readTimeoutMs > 0 { configuration.idleTimeout = .milliseconds(readTimeoutMs) }
        configuration.lastEventID = lastEventId ?? ""
        for (name, value) in headers ?? [:] {
            guard let name = HTTPField.Name(name) else { continue }
            configuration.headerFields[name] = value
        }
        if let method = method.flatMap({ HTTPRequest.Method($0) }) { configuration.method = method }
        configuration.body = body.map { Array($0.utf8) }
        return configuration
    }
}

/// A command to a client.
struct Command: Decodable, Sendable {
    var command: String

    init?(_ bytes: [UInt8]) {
        guard let command = try? JSONDecoder().decode(Command.self, from: Data(bytes)) else { return nil }
        self = command
    }
}

#endif
