// SPDX-License-Identifier: Apache-2.0

// A hub embedded in a service, with its page at `/` and the counter under `/counter/`.

import CounterService
import ExampleSupport
import Plinth
import PlinthHub
import PlinthServer

let settings = Settings()
let hub = try await Hub()
let service = HubService(hub)
let routes = try Routes {
    HubEndpoints(service).routes()
    Route.get("/counter/counter", counter(every: settings.milliseconds("interval-ms", default: 1000)))
}
let chain = try Chain.default(routes) { stack in
    stack.staticResources = [try .staticResources(counterPage, at: "/counter")]
    // Listening on loopback does not keep out pages of other sites.
    stack.interceptors = [.loopbackFence()]
}
try await serve(chain, alongside: [service], settings: settings)
