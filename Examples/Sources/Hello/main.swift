// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthServer

let counter = Interceptor.eventStream("counter") { events, context in
    for n in 1...10 {
        guard await events.send(.init(type: "counter", data: "\(n)")) else { return }  // The client has left.
        try await Task.sleep(for: .seconds(1))
    }
}
let routes = try Routes { Route.get("/counter", counter) }
try await Connector(Chain.default(routes)).runService()
