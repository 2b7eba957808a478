// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import NIOEmbedded
import Plinth
import PlinthHub
import Testing

@testable import PlinthServer

/// A hub's subscribers on an event loop.
@Suite("Hub streams of an event loop")
struct HubLoopGroupTests {
    @Test("The lag of deliveries is measured by the clock that events are published by, not by the event loop's")
    func lag() async throws {
        let loop = NIOAsyncTestingEventLoop()
        await loop.advanceTime(by: .hours(1000))
        let context = LoopContext(loop)
        let hub = try await Hub()
        let group = hub.add { HubLoopGroup(hub: hub, loop: context, head: $0) }
        try await hub.publish(ServerSentEvent(data: "x"), to: try Topic("a"))
        await loop.run()
        let lag = group.takeTally().lag
        #expect(lag > 0)
        #expect(lag < 3_600_000_000_000)
        hub.remove(group: group)
    }
}

#endif
