// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Dispatch
import PlinthEvents
import PlinthHub
import Synchronization
import Testing

@testable import PlinthSQLite

@Suite("SQLite history: waiting")
struct WaitingTests {
    private func request(_ data: String = "x", count: Int = 1) throws -> AppendRequest {
        let topic = try Topic("a")
        return AppendRequest((0..<count).map { _ in NewEvent(ServerSentEvent(data: data), topics: [topic]) })
    }

    private let answer = AppendResult(ids: [], lastID: EventID(trusted: Array("a-1".utf8)))

    @Test("Appends that arrive during a commit are committed together, in order, up to the bounds")
    func groups() async throws {
        let first = DispatchSemaphore(value: 0)
        let batches = Mutex<[[String]]>([])
        let answer = answer
        let queue = AppendQueue(timeout: .seconds(600), clock: .system) { appends in
            let isFirst = batches.withLock { batches in
                batches.append(appends.map { $0.request.events[0].event.data })
                return batches.count == 1
            }
            if isFirst { first.wait() }
            for append in appends where append.take() { append.finish(.success(answer)) }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            // One after the other, so that the order is known.
            for number in 0..<10 {
                let request = try request("\(number)", count: number == 7 ? AppendQueue.maximumEvents : 1)
                group.addTask { _ = try await queue.append(request) }
                while queue.waitingCount < number + 1 { await Task.yield() }
            }
            first.signal()
            try await group.waitForAll()
        }
        let expected = [["0"], ["1", "2", "3", "4", "5", "6"], ["7"], ["8", "9"]]
        #expect(batches.withLock { $0 } == expected)
    }

    @Test("An append that waits too long fails: as not taken before its transaction, as unknown within it")
    func timeouts() async throws {
        let clock = TestClock()
        let ends = DispatchSemaphore(value: 0)
        let answer = answer
        let taken = Mutex<[String]>([])
        let queue = AppendQueue(timeout: .seconds(600), clock: clock.clock) { appends in
            for append in appends where append.take() {
                taken.withLock { $0.append(append.request.events[0].event.data) }
                ends.wait()
                append.finish(.success(answer))
            }
        }
        let (first, second) = (try request("1"), try request("2"))
        let unknown = Task { try await queue.append(first) }
        while queue.waitingCount < 1 { await Task.yield() }
        while taken.withLock({ $0.isEmpty }) { await Task.yield() }
        let notTaken = Task { try await queue.append(second) }
        while queue.waitingCount < 2 { await Task.yield() }
        clock.advance(by: .seconds(599))
        #expect(queue.failLate())
        clock.advance(by: .seconds(2))
        #expect(!queue.failLate())
        var error = await #expect(throws: HistoryError.self) { _ = try await unknown.value }
        #expect(error?.code == .outcomeUnknown)
        error = await #expect(throws: HistoryError.self) { _ = try await notTaken.value }
        #expect(error?.code == .notTaken)
        ends.signal()
        try await queue.run {}
        #expect(taken.withLock { $0 } == ["1"])
    }

    private final class Order: Sendable {
        private let steps = Mutex<[String]>([])

        func add(_ step: String) { steps.withLock { $0.append(step) } }
        var all: [String] { steps.withLock { $0 } }
    }

    @Test("Readers wait while the gate is closed, and the writer for readers that have begun")
    func gate() async throws {
        let gate = ReadGate()
        let order = Order()
        let (inside, enter) = AsyncStream.makeStream(of: Void.self)
        let (leaving, leave) = AsyncStream.makeStream(of: Void.self)
        let first = Task {
            await gate.read {
                enter.yield()
                for await _ in leaving { break }
                order.add("first")
            }
        }
        for await _ in inside { break }
        // On a thread of its own, since it blocks.
        let (writing, written) = AsyncStream.makeStream(of: Void.self)
        DispatchQueue(label: "writer").async {
            gate.withoutReaders(within: .seconds(600)) { order.add("writer") }
            written.finish()
        }
        while !gate.isClosed { await Task.yield() }
        let second = Task { await gate.read { order.add("second") } }
        leave.yield()
        await first.value
        for await _ in writing {}
        await second.value
        #expect(order.all == ["first", "writer", "second"])
    }
}
#endif
