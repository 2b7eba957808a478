// SPDX-License-Identifier: Apache-2.0

import Foundation
import Plinth
import PlinthHub
import PlinthHubTesting
import PlinthServer

/// The code of the article "PlinthHub".
func publishAndSubscribe() async throws {
    let hub = try await Hub()
    let orders = try Topic("orders/7")
    try await hub.publish(ServerSentEvent(data: "shipped"), to: orders)

    try await hub.subscribe(to: .exact(orders), from: .earliest) { updates in
        for try await update in updates {
            switch update {
            case .event(let event): print(event.id, event.event.data)
            case .gap(let gap): print("some events after \(gap.requested) are no longer held")
            case .end(let end): print("\(end.topic) has ended")
            }
        }
    }
}

/// The code of the article "WhoMayDoWhat": who may do what with a hub is decided by the application's sessions.
struct SessionAuthorizer: HubAuthorizer {
    let sessions: any SessionStore

    func grant(for request: Request) async throws -> HubGrant {
        guard let user = try await sessions.user(of: request.cookies["session"]) else { return HubGrant() }
        let own = try Topic("users/\(user.id)")
        return HubGrant(
            subject: HubSubject(user.id),
            subscribe: [.exact(own), .pattern(try TopicPattern("news/**"))],
            expires: user.sessionEnd
        )
    }
}

/// Whom an application knows.
struct SessionUser: Sendable {
    let id: String
    let sessionEnd: Date
}

/// Where an application keeps its sessions.
protocol SessionStore: Sendable {
    func user(of session: String?) async throws -> SessionUser?
}

/// The code of the article "PlinthHubTesting".
func judge() async throws {
    try await HistoryContract { MemoryHistory() }.runAll()
}
