// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import AsyncHTTPClient
import HTTPTypes
import NIOCore
import NIOHTTP1
import Synchronization

/// A run of `plinth bench`: opens the streams, publishes, and waits for the last deliveries.
struct BenchRun: Sendable {
    /// The route to the topic.
    let route: RequestRoute
    let isHTTP1: Bool
    let subscribers: Int
    let rate: Double
    let time: Duration
    let warmUp: Duration
    let size: Int
    let publishers: Int
    let connecting: Int

    /// The results of publishing.
    private struct Published: Sendable {
        var count = 0
        var failures = 0
        var failure: String?
        var acknowledgements: [UInt32] = []
    }

    private final class Publishing: Sendable {
        let state = Mutex(Published())
    }

    func run() async throws -> BenchReport {
        let warmUpEvents = Int((rate * (warmUp / .seconds(1))).rounded(.up))
        let events = warmUpEvents + max(1, Int((rate * (time / .seconds(1))).rounded()))
        let (expected, overflow) = events.multipliedReportingOverflow(by: subscribers)
        guard !overflow else { throw BenchFailure("too many deliveries to count") }
        let record = BenchRecord(measured: warmUpEvents..<events, expected: expected)
        // Separate clients, so that publishing neither waits for nor shares a stream's connection.
        let streams = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        let publisher = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        do {
            let start = MonotonicNanoseconds.now
            let tasks = try await open(streams, record)
            let opening = Double(MonotonicNanoseconds.now - start) / 1e9
            let (published, seconds) = await publish(publisher, events, warmUpEvents, record)
            await deliver(published.count * subscribers, record)
            let counts = record.take()
            for task in tasks { task.cancel() }
            try? await streams.shutdown()
            try? await publisher.shutdown()
            if published.failures > 0 {
                StandardStreams.complain("plinth bench: an event was not acknowledged: \(published.failure ?? "?")")
            }
            if counts.ended + counts.failed > 0 {
                StandardStreams.complain("plinth bench: a stream ended early: \(counts.failure ?? "by the server")")
            }
            return BenchReport(
                subscribers: subscribers,
                published: published.count,
                publishFailures: published.failures,
                expected: published.count * subscribers,
                received: counts.received,
                duplicated: counts.duplicated,
                outOfOrder: counts.outOfOrder,
                broken: counts.ended + counts.failed,
                rate: rate,
                seconds: seconds,
                opening: opening,
                latencies: counts.latencies.sorted(),
                acknowledgements: published.acknowledgements.sorted()
            )
        } catch {
            try? await streams.shutdown()
            try? await publisher.shutdown()
            throw error
        }
    }

    private var configuration: HTTPClient.Configuration {
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
        route.configure(&configuration)
        if isHTTP1 { configuration.httpVersion = .http1Only }
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = subscribers + publishers
        configuration.connectionPool.retryConnectionEstablishment = false
        return configuration
    }

    // MARK: - Streams

    /// Opens all streams, at most `connecting` at once.
    private func open(_ client: HTTPClient, _ record: BenchRecord) async throws -> [HTTPClient.Task<Void>] {
        var request = try HTTPClient.Request(url: route.url)
        for field in route.fields { request.headers.add(name: field.name.rawName, value: field.value) }
        request.headers.replaceOrAdd(name: "Accept", value: "text/event-stream")
        var tasks: [HTTPClient.Task<Void>] = []
        var progress = Progress("opening streams", of: subscribers)
        var lastOpened = 0
        var lastChange = ContinuousClock.now
        while true {
            let (opened, failed, ended, _, failure) = record.progress
            progress.show(opened)
            if failed + ended > 0 {
                throw BenchFailure(
                    "a stream did not open or ended early, with \(opened) of \(subscribers) open: \(failure ?? "?")"
                )
            }
            if opened == subscribers { break }
            if opened != lastOpened { (lastOpened, lastChange) = (opened, .now) }
            guard ContinuousClock.now - lastChange < .seconds(15) else {
                throw BenchFailure("only \(opened) of \(subscribers) streams opened, and no further one within 15 s")
            }
            while tasks.count < min(subscribers, opened + connecting) {
                tasks.append(
                    client.execute(request: request, delegate: BenchSubscriber(record, publishers: publishers))
                )
            }
            // Polls the count that event loops update, often enough to keep `connecting` streams opening.
            try await Task.sleep(for: .milliseconds(1))
        }
        progress.clear()
        return tasks
    }

    // MARK: - Publishing

    private func publish(
        _ client: HTTPClient,
        _ events: Int,
        _ warmUpEvents: Int,
        _ record: BenchRecord
    ) async -> (published: Published, seconds: Double) {
        let published = Publishing()
        let start = ContinuousClock.now
        await withTaskGroup(of: Void.self) { group in
            for publisher in 0..<publishers {
                group.addTask {
                    // A publisher sends its own events in sequence, so order is checked per publisher.
                    for number in stride(from: publisher, to: events, by: publishers) {
                        // Scheduled from the start, however long earlier requests took.
                        try? await Task.sleep(until: start + .seconds(Double(number) / rate))
                        await publish(number, client, published, isMeasured: number >= warmUpEvents)
                    }
                }
            }
            group.addTask { await show(events, published, record) }
        }
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        return (published.state.withLock { $0 }, seconds)
    }

    private func publish(
        _ number: Int,
        _ client: HTTPClient,
        _ published: Publishing,
        isMeasured: Bool
    ) async {
        var request = HTTPClientRequest(url: route.url)
        request.method = .POST
        for field in route.fields { request.headers.add(name: field.name.rawName, value: field.value) }
        let sent = MonotonicNanoseconds.now
        let data = Array(BenchEvent.text(number, at: sent, size: size).utf8)
        var failure: String?
        do {
            let answer = try await HTTPExchange.perform(request, body: data, with: client, within: .seconds(30))
            if !answer.isSuccess { failure = answer.title }
        } catch {
            failure = error.reason
        }
        let took = UInt32(clamping: (MonotonicNanoseconds.now - sent) / 1000)
        published.state.withLock { published in
            if let failure {
                published.failures += 1
                published.failure = published.failure ?? failure
            } else {
                published.count += 1
                if isMeasured { published.acknowledgements.append(took) }
            }
        }
    }

    private func show(_ events: Int, _ published: Publishing, _ record: BenchRecord) async {
        var progress = Progress("publishing", of: events)
        while true {
            let done = published.state.withLock { $0.count + $0.failures }
            progress.show(done)
            if done >= events { break }
            // The interval between progress updates.
            try? await Task.sleep(for: .milliseconds(100))
        }
        progress.clear()
    }

    /// Waits until `expected` deliveries have arrived, or until none arrives for 5 s.
    private func deliver(_ expected: Int, _ record: BenchRecord) async {
        var last = -1
        var lastChange = ContinuousClock.now
        while true {
            let received = record.progress.received
            if received >= expected { return }
            if received != last { (last, lastChange) = (received, .now) }
            if ContinuousClock.now - lastChange > .seconds(5) { return }
            // Polls the count that event loops update.
            try? await Task.sleep(for: .milliseconds(10))
        }
    }
}

/// A progress bar on standard error, if that is a terminal.
private struct Progress {
    private let what: String
    private let count: Int
    private var lastShown = ContinuousClock.now - .seconds(1)

    init(_ what: String, of count: Int) {
        self.what = what
        self.count = count
    }

    mutating func show(_ done: Int) {
        let now = ContinuousClock.now
        guard StandardStreams.isErrorTerminal, now - lastShown > .milliseconds(100) else { return }
        lastShown = now
        let filled = 30 * min(done, count) / max(count, 1)
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: 30 - filled)
        StandardStreams.overwrite("\(bar) \(what) \(done) of \(count)")
    }

    func clear() {
        StandardStreams.overwrite("")
    }
}
#endif
