// SPDX-License-Identifier: Apache-2.0

#if Server

import Metrics
import PlinthHub
import PlinthTestSupport
import Testing

@testable import PlinthServer

@Suite("Counts of open streams")
struct OpenCountsTests {
    private func counts(total: Int = 1000, ofAddress: Int? = nil, ofSubject: Int? = nil) -> OpenCounts {
        OpenCounts(OpenCounts.Limits(total: total, ofAddress: ofAddress, ofSubject: ofSubject))
    }

    private let here = AddressKey("192.0.2.1")
    private let there = AddressKey("192.0.2.2")

    @Test("Each limit refuses the stream beyond it, and says which it is")
    func bounds() throws {
        var counts = counts(total: 2)
        var permits = [try counts.take(address: here, subject: "a"), try counts.take(address: nil, subject: nil)]
        #expect(throws: OpenCounts.Bound.total) { try counts.take(address: there, subject: "b") }
        #expect(permits.count == counts.count)

        counts = self.counts(ofAddress: 2)
        permits = [try counts.take(address: here, subject: "a"), try counts.take(address: here, subject: "b")]
        #expect(throws: OpenCounts.Bound.address) { try counts.take(address: here, subject: "c") }
        permits.append(try counts.take(address: there, subject: "a"))
        for _ in 0..<5 { permits.append(try counts.take(address: nil, subject: "a")) }
        #expect(permits.count == 8 && counts.count == 8)

        counts = self.counts(ofSubject: 2)
        permits = [try counts.take(address: here, subject: "a"), try counts.take(address: there, subject: "a")]
        #expect(throws: OpenCounts.Bound.subject) { try counts.take(address: nil, subject: "a") }
        for _ in 0..<5 { permits.append(try counts.take(address: here, subject: nil)) }
        permits.append(try counts.take(address: here, subject: HubSubject(source: "jwt", name: "a")))
        #expect(permits.count == 8 && counts.count == 8)
    }

    @Test("A refused stream counts nowhere, and the narrower limit is named")
    func refusal() throws {
        let counts = counts(total: 2, ofAddress: 1, ofSubject: 1)
        let permit = try counts.take(address: here, subject: "a")
        #expect(throws: OpenCounts.Bound.subject) { try counts.take(address: here, subject: "a") }
        #expect(throws: OpenCounts.Bound.address) { try counts.take(address: here, subject: "b") }
        let other = try counts.take(address: there, subject: "b")
        #expect(throws: OpenCounts.Bound.total) { try counts.take(address: nil, subject: "c") }
        #expect(counts.count == 2)
        #expect(counts.keyCount == 4)
        permit.release()
        other.release()
        #expect(counts.count == 0)
        #expect(counts.keyCount == 0)
    }

    @Test("A permit is returned once, by its release or with its last reference")
    func release() throws {
        let counts = counts(ofAddress: 2, ofSubject: 2)
        let kept = try counts.take(address: here, subject: "a")
        var permit: OpenPermit? = try counts.take(address: here, subject: "a")
        #expect(counts.count == 2)
        permit?.release()
        permit?.release()
        #expect(counts.count == 1)
        permit = nil
        #expect(counts.count == 1)
        permit = try counts.take(address: here, subject: "a")
        #expect(counts.count == 2)
        permit = nil
        #expect(counts.count == 1)
        #expect(counts.keyCount == 2)
        kept.release()
        #expect(counts.keyCount == 0)
    }

    @Test("Addresses and subjects without a limit are not held")
    func unlimited() throws {
        let counts = counts()
        let permits = try (0..<100).map { try counts.take(address: here, subject: HubSubject("\($0)")) }
        #expect(counts.count == permits.count)
        #expect(counts.keyCount == 0)
    }

    @Test("Streams that begin and end on many threads at once never exceed a limit, and leave nothing")
    func threads() async throws {
        let counts = counts(total: 20, ofAddress: 8, ofSubject: 8)
        let addresses = (0..<4).map { AddressKey("192.0.2.\($0)") }
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    var permits: [OpenPermit] = []
                    for number in 0..<2_000 {
                        let subject = HubSubject("\(number % 3)")
                        if let permit = try? counts.take(address: addresses[(number + task) % 4], subject: subject) {
                            permits.append(permit)
                        }
                        #expect(counts.count <= 20)
                        if number % 5 == 0 { permits.removeAll() }
                    }
                }
            }
        }
        #expect(counts.count == 0)
        #expect(counts.keyCount == 0)
    }

    @Test("Every limit has a counter of its own, and nothing is counted without a metrics system")
    func metrics() throws {
        let record = RefusalRecord()
        let metrics = try #require(LimitMetrics(factory: record))
        #expect(record.limits == Set(CountedLimit.allCases.map(\.rawValue)))
        for bound in [OpenCounts.Bound.total, .address, .address, .subject] { metrics.refused(by: bound.counted) }
        #expect(record.refusals == ["streams": 1, "address-streams": 2, "subject-streams": 1])
        #expect(LimitMetrics(factory: NOOPMetricsHandler.instance) == nil)
    }
}

#endif
