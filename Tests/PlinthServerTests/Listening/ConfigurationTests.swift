// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthHub
import PlinthServer
import Testing

/// Limits outside of their range.
@Suite("Configurations")
struct ConfigurationTests {
    @Test("A connector's limits are clamped, given or set later", arguments: [Int.min, -1, 0, .max])
    func connector(limit: Int) {
        let given = ConnectorConfiguration(
            backlog: limit,
            maximumConnections: limit,
            maximumConnectionsPerAddress: limit,
            maximumTargetSize: limit,
            maximumHeadSize: limit,
            maximumBodySize: limit
        )
        var set = ConnectorConfiguration()
        set.backlog = limit
        set.maximumConnections = limit
        set.maximumConnectionsPerAddress = limit
        set.maximumTargetSize = limit
        set.maximumHeadSize = limit
        set.maximumBodySize = limit
        for configuration in [given, set] {
            // The kernel's and HTTP/2's numbers have 32 bits.
            #expect(configuration.backlog == (limit > 0 ? Int(Int32.max) : 1))
            #expect(configuration.maximumHeadSize == (limit > 0 ? Int(Int32.max) : 1))
            #expect(configuration.maximumTargetSize == (limit > 0 ? Int(Int32.max) : 1))
            #expect(configuration.maximumConnections == max(1, limit))
            #expect(configuration.maximumConnectionsPerAddress == max(1, limit))
            #expect(configuration.maximumBodySize == max(0, limit))
        }
    }

    @Test("HTTP/2 limits are clamped, given or set later", arguments: [Int.min, -1, 0, .max])
    func http2(limit: Int) {
        let given = HTTP2Limits(maximumResets: limit, maximumControlFrames: limit, maximumRefusedStreams: limit)
        var set = HTTP2Limits()
        set.maximumResets = limit
        set.maximumControlFrames = limit
        set.maximumRefusedStreams = limit
        let clamped = limit > 0 ? 100_000 : 1
        for limits in [given, set] {
            #expect(limits.maximumResets == clamped)
            #expect(limits.maximumControlFrames == clamped)
            #expect(limits.maximumRefusedStreams == clamped)
        }
    }

    @Test("A hub's limits are clamped, given or set later", arguments: [Int.min, -1, 0, .max])
    func hub(limit: Int) async throws {
        let given = HubService.Configuration(reactors: limit, maximumStreams: limit)
        var set = HubService.Configuration()
        set.reactors = limit
        set.maximumStreams = limit
        for configuration in [given, set] {
            #expect(configuration.reactors == max(1, limit))
            #expect(configuration.maximumStreams == max(0, limit))
        }
        var endpoints = HubEndpoints(HubService(try await Hub()), maximumEventSize: limit)
        #expect(endpoints.maximumEventSize == max(1, limit))
        endpoints.maximumEventSize = limit
        endpoints.maximumTopics = limit
        endpoints.maximumPatterns = limit
        #expect(endpoints.maximumEventSize == max(1, limit))
        #expect(endpoints.maximumTopics == max(1, limit))
        #expect(endpoints.maximumPatterns == max(0, limit))
        var limits = HistoryLimits(events: limit, bytes: limit)
        #expect(limits == HistoryLimits(events: max(0, limit), bytes: max(0, limit)))
        limits.events = limit
        limits.bytes = limit
        #expect(limits.events == max(0, limit) && limits.bytes == max(0, limit))
    }
}

#endif
