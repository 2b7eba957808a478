// SPDX-License-Identifier: Apache-2.0

import ExampleSupport
import Foundation
public import Plinth

/// Sends ten events, one per interval.
public func counter(every interval: Duration, clock: any Clock<Duration> = ContinuousClock()) -> Interceptor {
    .eventStream("counter", onDisconnect: { say("counter: the stream has ended: \($0)") }) { events, context in
        for n in 1...10 {
            guard await events.send(.init(type: "counter", data: "\(n)")) else { return }
            try await clock.sleep(for: interval)
        }
    }
}

/// The folder of the page, whose relative URLs let it be served under any path.
public var counterPage: String { Bundle.module.bundlePath + "/Public" }

/// The page, and the stream that it displays.
public func service(every interval: Duration = .seconds(1), clock: any Clock<Duration> = ContinuousClock()) throws
    -> Chain
{
    let routes = try Routes {
        Route.get("/counter", counter(every: interval, clock: clock))
    }
    return try Chain.default(routes) { stack in
        stack.staticResources = [try .staticResources(counterPage)]
    }
}
