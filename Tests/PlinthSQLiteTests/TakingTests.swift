// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Dispatch
import Foundation
import GRDB
import PlinthEvents
import PlinthHub
import PlinthStreams
import PlinthTestSupport
import Synchronization
import Testing

@testable import PlinthSQLite

@Suite("SQLite history: what a transaction takes")
struct TakingTests {
    private let files = TemporaryFiles()
    private let clock = TestClock()

    @Test("An append that is taken as its time runs out is not answered as not taken")
    func takenOrExpired() async throws {
        let count = 20_000
        let request = AppendRequest([try .test("1", "a")])
        let (pending, add) = AsyncStream.makeStream(of: PendingAppend.self)
        let results = (0..<count).map { _ in
            Task {
                try await withCheckedThrowingContinuation { continuation in
                    add.yield(PendingAppend(request, deadline: MonotonicTime(nanoseconds: 0), continuation))
                }
            }
        }
        var appends: [PendingAppend] = []
        for await append in pending {
            appends.append(append)
            if appends.count == count { break }
        }
        // Two threads that meet at each append: one takes it while its time runs out in the other.
        let race = Race(appends)
        async let expiring: Void = onThread { race.expire() }
        let taken = await onThread { race.take() }
        await expiring
        var refused = 0
        for result in results {
            if case .failure(let error as HistoryError) = await result.result, error.code == .notTaken { refused += 1 }
        }
        #expect(refused == taken.count { !$0 }, "taken, and answered as not taken")
    }

    /// Two threads that meet at each of some appends.
    private final class Race: Sendable {
        private let appends: [PendingAppend]
        private let taker = Atomic(0)
        private let expirer = Atomic(0)

        init(_ appends: [PendingAppend]) { self.appends = appends }

        func take() -> [Bool] {
            appends.enumerated().map { index, append in
                meet(taker, expirer, at: index)
                // Not always at the same moment.
                for _ in 0..<(index % 32) { _ = expirer.load(ordering: .relaxed) }
                return append.take()
            }
        }

        func expire() {
            for (index, append) in appends.enumerated() {
                meet(expirer, taker, at: index)
                for _ in 0..<(index / 32 % 32) { _ = taker.load(ordering: .relaxed) }
                append.expire()
            }
        }

        /// Returns when both threads are here.
        private func meet(_ own: borrowing Atomic<Int>, _ other: borrowing Atomic<Int>, at index: Int) {
            own.store(index + 1, ordering: .sequentiallyConsistent)
            var turns = 0
            while other.load(ordering: .sequentiallyConsistent) <= index {
                turns += 1
                // The other thread may have no core.
                if turns % 2000 == 0 { sched_yield() }
            }
        }
    }

    @Test("An end that is dropped by the transaction that added it is gone, also from memory")
    func droppedAtOnce() async throws {
        var options = SQLiteHistoryOptions()
        options.quotas.endedTopicsPerSubject = 1
        let history = files.history(options, clock)
        let delivered = Delivered()
        _ = try await history.open { delivered.add($0) }
        let subject = HubSubject(source: "test", issuer: nil, name: "s")
        let (x, w) = (try Topic("x"), try Topic("w"))
        _ = try await history.appendTogether([
            AppendRequest([], ending: x, subject: subject), AppendRequest([], ending: w, subject: subject),
        ])
        #expect(delivered.numbers == [1, 2])
        #expect(history.endsNow(of: try .topics("x"))?.isEmpty == true)
        #expect(history.endsNow(of: try .topics("w"))?.count == 1)
        #expect(try await history.statistics().endedTopics == 1)
        _ = try await history.append(AppendRequest([try .test("to x", "x")]))
        #expect(delivered.numbers == [1, 2, 3])
        await history.close()
    }

    /// A clock whose next reading outside of the writer's connection waits for another thread.
    private final class MeetingClock: Sendable {
        private let key = DispatchSpecificKey<Bool>()
        private let other = Mutex<(@Sendable () -> Void)?>(nil)
        private let running = Mutex<DispatchSemaphore?>(nil)

        /// A configuration whose writer runs on a queue that the clock knows; after its next commit, the other begins.
        func configuration() -> Configuration {
            var configuration = Configuration()
            let queue = DispatchQueue(label: "writer")
            queue.setSpecific(key: key, value: true)
            configuration.writeTargetQueue = queue
            configuration.afterStatements { isReader, sql in
                guard !isReader, sql.contains("COMMIT"), let body = self.other.withLock({ $0.take() }) else { return }
                let done = DispatchSemaphore(value: 0)
                self.running.withLock { $0 = done }
                DispatchQueue(label: "other").async {
                    body()
                    done.signal()
                }
            }
            return configuration
        }

        func afterNextCommit(_ body: @escaping @Sendable () -> Void) { other.withLock { $0 = body } }

        var clock: StoreClock {
            StoreClock(
                monotonic: {
                    if DispatchQueue.getSpecific(key: self.key) == nil { self.running.withLock { $0.take() }?.wait() }
                    return MonotonicTime.now()
                },
                wall: StoreClock.system.wall
            )
        }
    }

    @Test("What a transaction adds is delivered before another can commit, also what it removes itself")
    func deliveredFirst() async throws {
        let meeting = MeetingClock()
        let pool = try files.pool(at: nil, meeting.configuration())
        var options = SQLiteHistoryOptions()
        options.topic.events = 1
        let history = SQLiteHistory(pool, options: options, clock: meeting.clock)
        let delivered = Delivered()
        _ = try await history.open { delivered.add($0) }
        let (own, others) = (try NewEvent.test("own", "a"), try NewEvent.test("application's", "b"))
        for round in 1...5 {
            meeting.afterNextCommit {
                do {
                    _ = try pool.write { try history.append([others], in: $0) }
                } catch {
                    Issue.record(error)
                }
            }
            // Two of them are beyond the limit.
            _ = try await history.append(AppendRequest([own, own, own]))
            // The application's is there once the writer has caught up.
            _ = try await history.append(AppendRequest([own]))
            #expect(delivered.numbers == Array(1...UInt64(round * 5)))
        }
        await history.close()
    }
}
#endif
