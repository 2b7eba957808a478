// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthServer

let counter = Interceptor.eventStream("counter", onDisconnect: { print("ended: \($0)") }) { events, context in
    for n in 1...10 {
        guard await events.send(.init(type: "counter", data: "\(n)")) else { return }
        try await Task.sleep(for: .seconds(1))
    }
}

try await Connector(Chain([counter])).runService()
