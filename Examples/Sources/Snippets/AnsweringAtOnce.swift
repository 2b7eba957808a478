// SPDX-License-Identifier: Apache-2.0

// The code of the article "Answering at once".

import Plinth
import Synchronization

/// Stands for an application's type.
final class ProfileCache: Sendable {
    private let profiles = Mutex<[String: String]>([:])

    subscript(id: String) -> String? { profiles.withLock { $0[id] } }

    func load(_ id: String) async throws -> String {
        try await Task.sleep(for: .milliseconds(1))
        return profiles.withLock { profiles in
            profiles[id] = id
            return id
        }
    }
}

let version = Interceptor("version", leave: { $0.response?.headers[.server] = "shop/2" })
let health = Route.get("/health") { _ in .text("ok") }

func profile(_ cache: ProfileCache) -> Interceptor {
    .answering("profile") { request in
        let id = try request.pathParameters.require("id")
        if let known = cache[id] { return .now(.text(known)) }
        return .later { .text(try await cache.load(id)) }
    }
}

@Sendable
private func store(_ body: [UInt8]) -> Response { .text("\(body.count) bytes") }

let comment = Interceptor.answering("comment") { request in
    if let body = try request.body.collectNow(upTo: 4096) { return .now(store(body)) }
    return .later { store(try await request.body.collect(upTo: 4096)) }
}
