// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import PlinthEvents
import PlinthStreams
import Synchronization

/// The counts and latencies of all subscribers of a run.
final class BenchRecord: Sendable {
    struct Counts {
        var opened = 0
        var failed = 0
        /// Streams that ended before the run did.
        var ended = 0
        var received = 0
        var duplicated = 0
        var outOfOrder = 0
        /// The latency of each measured delivery, in microseconds.
        var latencies: [UInt32] = []
        var failure: String?
    }

    /// A lock per event loop would be faster, but the subject of the measurement is the server.
    private let counts = Mutex(Counts())
    /// The numbers of the measured events: lower numbers are warm-up, higher ones are not of this run.
    let measured: Range<Int>

    init(measured: Range<Int>, expected: Int) {
        self.measured = measured
        counts.withLock { $0.latencies.reserveCapacity(min(expected, 50_000_000)) }
    }

    func change(_ body: (inout sending Counts) -> Void) { counts.withLock { body(&$0) } }

    /// The counts, without copying the latencies.
    var progress: (opened: Int, failed: Int, ended: Int, received: Int, failure: String?) {
        counts.withLock { ($0.opened, $0.failed, $0.ended, $0.received, $0.failure) }
    }

    func take() -> Counts { counts.withLock { $0 } }
}

/// A subscriber that parses its stream and checks each event on its connection's event loop.
///
/// Invariant, for `@unchecked`: only AsyncHTTPClient holds the instance, and calls a delegate on one event loop.
final class BenchSubscriber: HTTPClientResponseDelegate, @unchecked Sendable {
    typealias Response = Void

    private let record: BenchRecord
    private var parser = ServerSentEventParser()
    private var isOpen = false
    /// The last event number of each publisher, whose events arrive in order.
    private var last: [Int]

    init(_ record: BenchRecord, publishers: Int) {
        self.record = record
        last = Array(repeating: -1, count: publishers)
    }

    func didReceiveHead(task: HTTPClient.Task<Void>, _ head: HTTPResponseHead) -> EventLoopFuture<Void> {
        let type = head.headers.first(name: "content-type") ?? ""
        if head.status == .ok, type.lowercased().hasPrefix("text/event-stream") {
            isOpen = true
            record.change { $0.opened += 1 }
            return task.eventLoop.makeSucceededVoidFuture()
        }
        let status = TerminalText.visible("\(head.status)", upTo: 100)
        return task.eventLoop.makeFailedFuture(
            BenchFailure("the response to a stream request is \(status), \(TerminalText.visible(type, upTo: 100))")
        )
    }

    func didReceiveBodyPart(task: HTTPClient.Task<Void>, _ buffer: ByteBuffer) -> EventLoopFuture<Void> {
        let now = MonotonicNanoseconds.now
        var received = 0
        var duplicated = 0
        var outOfOrder = 0
        var latencies: [UInt32] = []
        do {
            try buffer.withUnsafeReadableBytes { bytes in
                try parser.parseBorrowed(
                    bytes.bindMemory(to: UInt8.self).span,
                    event: { event in
                        guard let (number, sent) = BenchEvent.read(event.data), number < record.measured.upperBound
                        else { return }
                        received += 1
                        let publisher = number % last.count
                        guard number > last[publisher] else {
                            if number == last[publisher] { duplicated += 1 } else { outOfOrder += 1 }
                            return
                        }
                        last[publisher] = number
                        if record.measured.contains(number) {
                            latencies.append(UInt32(clamping: (now - sent) / 1000))
                        }
                    }
                )
            }
        } catch {
            return task.eventLoop.makeFailedFuture(error)
        }
        if received > 0 {
            record.change {
                $0.received += received
                $0.duplicated += duplicated
                $0.outOfOrder += outOfOrder
                $0.latencies += latencies
            }
        }
        return task.eventLoop.makeSucceededVoidFuture()
    }

    func didFinishRequest(task: HTTPClient.Task<Void>) throws {
        record.change { $0.ended += 1 }
    }

    func didReceiveError(task: HTTPClient.Task<Void>, _ error: any Error) {
        let isOpen = self.isOpen
        let isOurs = error is BenchFailure || error is ServerSentEventParserError
        let failure = isOurs ? "\(error)" : ConnectionAdvice.clause(for: error)
        record.change { counts in
            if isOpen { counts.ended += 1 } else { counts.failed += 1 }
            counts.failure = counts.failure ?? failure
        }
    }
}

struct BenchFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
#endif
