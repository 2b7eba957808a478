// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthHub
import PlinthHubTesting

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
            }
        }
    }
}

/// The code of the article "PlinthHubTesting".
func judge() async throws {
    try await HistoryContract { MemoryHistory() }.runAll()
}
