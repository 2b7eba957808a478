// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import Glibc
import PlinthEvents
import PlinthHub

extension Bounds {
    /// What a history in memory remembers besides events: its bytes each, and that its bounds hold.
    static func remembered(_ what: String, _ count: Int) async throws {
        var quotas = HistoryQuotas()
        // Unbounded, all keys are kept; the default keeps 64 MiB.
        if !what.hasSuffix("-bounded") { quotas.keyBytes = 1 << 40 }
        let hub = try await Hub(history: MemoryHistory(topic: HistoryLimits(events: 0), quotas: quotas))
        let topic = try Topic("topic")
        let event = NewEvent(ServerSentEvent(data: "x"), topics: [topic])
        func request(_ number: Int) throws -> AppendRequest {
            let text = Array("key-or-producer-\(number)".utf8)
            switch what {
            case "producers", "producers-bounded":
                guard let id = ProducerID(text) else { throw CancellationError() }
                return AppendRequest([event], producer: ProducerStamp(id: id, epoch: 0, sequence: 0))
            case "ends", "ends-bounded": return AppendRequest([], ending: try Topic("topic-that-ended/\(number)"))
            default: return AppendRequest([event], key: IdempotencyKey(text))
            }
        }
        for _ in 0..<1000 { _ = try hub.publishNow(AppendRequest([event])) }
        let before = residentBytes()
        var taken = 0
        var refused = ""
        for number in 0..<count {
            do {
                _ = try hub.publishNow(try request(number))
                taken += 1
            } catch let error as HistoryError {
                refused = error.code.description
            }
        }
        let growth = residentBytes() - before
        let held = try await hub.history.statistics()
        let kept = max(1, held.keys + held.producers + held.endedTopics)
        print(
            "| \(what) | \(count) | \(taken) | \(refused.isEmpty ? "none" : refused) | \(kept) | "
                + "\((held.keyBytes + held.bytes) / kept) | \(growth / kept) |"
        )
    }
}

#endif
