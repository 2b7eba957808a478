// SPDX-License-Identifier: Apache-2.0

import Metrics
import PlinthEvents
import PlinthTestSupport

@testable import PlinthHub

extension Hub {
    static func make(
        _ history: any History = MemoryHistory.make(),
        options: StreamOptions = StreamOptions(),
        observer: (any HubObserver)? = nil,
        factory: any MetricsFactory = NOOPMetricsHandler.instance
    ) async throws -> Hub {
        try await Hub(history: history, options: options, observer: observer, factory: factory)
    }

    @discardableResult
    func publish(_ data: String, to name: String) async throws -> EventID {
        try await publish(ServerSentEvent(data: data), to: Topic(name))
    }
}
