// SPDX-License-Identifier: Apache-2.0

import Foundation
import Plinth
import PlinthHub
import Synchronization

/// The history of the article "WritingAHistory": a journal in a file, read when the history is opened.
///
/// It keeps everything and does not sync: it survives a restart of the process, not a power cut.
final class JournalHistory: History {
    /// A line of the journal.
    private struct Record: Codable {
        var topics: [String]
        var isRestricted = false
        var type: String?
        var data = ""
        var retryMilliseconds: Int64?
        var published: Date
        /// The line removes the events of its topics.
        var isPurge = false
    }

    /// A publisher chose an ID.
    struct IDNotAccepted: Error {}

    private struct State {
        var entries: [HistoryEntry] = []
        var head: UInt64 = 0
        /// The last position removed by a purge.
        var purged: UInt64 = 0
        var deliver: (@Sendable ([HistoryEntry]) -> Void)?
    }

    private let file: FileHandle
    private let epoch: String
    private let state = Mutex(State())

    /// Opens the journal at a path, or creates it; its name is the epoch of its IDs.
    init(path: String) throws {
        if !FileManager.default.fileExists(atPath: path) { try Data().write(to: URL(fileURLWithPath: path)) }
        file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
        epoch = URL(fileURLWithPath: path).lastPathComponent
    }

    func open(deliver: @escaping @Sendable ([HistoryEntry]) -> Void) async throws -> Position {
        let lines = try file.readToEnd()?.split(separator: 0x0A) ?? []
        return try state.withLock { state in
            for line in lines { try apply(JSONDecoder().decode(Record.self, from: line), to: &state) }
            state.deliver = deliver
            return Position(state.head)
        }
    }

    func append(_ events: [NewEvent]) async throws -> [EventID] {
        guard events.allSatisfy({ $0.requestedID == nil }) else { throw IDNotAccepted() }
        let records = events.map { event in
            Record(
                topics: event.topics.map(\.description),
                isRestricted: event.isRestricted,
                type: event.type,
                data: event.event.data,
                retryMilliseconds: event.retry.map { Int64($0 / .milliseconds(1)) },
                published: .now
            )
        }
        return try state.withLock { state in
            try write(records)
            let entries = events.map { event in
                state.head += 1
                return HistoryEntry(event, position: Position(state.head), id: id(at: Position(state.head)))
            }
            state.entries += entries
            // Under the lock, so that deliveries keep the order of positions.
            state.deliver?(entries)
            return entries.map(\.id)
        }
    }

    func locate(_ id: EventID) async throws -> Position? {
        let parts = id.description.split(separator: "-", omittingEmptySubsequences: false)
        guard let last = parts.last, let number = UInt64(last) else { return nil }
        let position = Position(number)
        let head = state.withLock { $0.head }
        return number <= head && self.id(at: position) == id ? position : nil
    }

    func read(after position: Position?, selection: Selection, limit: ReadLimit) async throws -> HistoryBatch {
        state.withLock { state in
            let start = position ?? .zero
            var batch = HistoryBatch(entries: [], through: max(start, Position(state.head)), missingThrough: nil)
            if state.purged > start.number { batch.missingThrough = Position(state.purged) }
            var bytes = 0
            for entry in state.entries where entry.position > start {
                guard batch.work < max(1, limit.work) else {
                    batch.through = Position(entry.position.number - 1)
                    break
                }
                batch.work += 1
                guard selection.includes(entry.topics, isRestricted: entry.isRestricted) else { continue }
                let isFull = batch.entries.count >= limit.events || bytes + entry.size > limit.bytes
                if isFull, !batch.entries.isEmpty {
                    batch.through = Position(entry.position.number - 1)
                    break
                }
                batch.entries.append(entry)
                bytes += entry.size
            }
            return batch
        }
    }

    func id(at position: Position) -> EventID { EventID(trusted: Array("\(epoch)-\(position)".utf8)) }

    func purge(_ topic: Topic) async throws -> Int {
        try state.withLock { state in
            let record = Record(topics: [topic.description], published: .now, isPurge: true)
            try write([record])
            return try apply(record, to: &state)
        }
    }

    func statistics() async throws -> HistoryStatistics {
        state.withLock { state in
            HistoryStatistics(
                topics: Set(state.entries.flatMap(\.topics)).count,
                events: state.entries.count,
                bytes: state.entries.reduce(0) { $0 + $1.size }
            )
        }
    }

    /// Writes all lines, or throws and leaves the journal as it was.
    private func write(_ records: [Record]) throws {
        let end = try file.seekToEnd()
        do {
            try file.write(contentsOf: Data(records.map { try JSONEncoder().encode($0) + [0x0A] }.joined()))
        } catch {
            try? file.truncate(atOffset: end)
            throw error
        }
    }

    /// Applies a line of the journal.
    @discardableResult
    private func apply(_ record: Record, to state: inout State) throws -> Int {
        let topics = try record.topics.map { try Topic($0) }
        if record.isPurge {
            let removed = state.entries.filter { $0.topics.contains { topics.contains($0) } }
            state.entries.removeAll { $0.topics.contains { topics.contains($0) } }
            if let last = removed.last { state.purged = max(state.purged, last.position.number) }
            return removed.count
        }
        let retry = record.retryMilliseconds.map { Duration.milliseconds($0) }
        let event = try ServerSentEvent(type: record.type, data: record.data, retry: retry)
        let age = Duration.seconds(max(0, Date.now.timeIntervalSince(record.published)))
        let published = ContinuousClock.now.advanced(by: .zero - age)
        state.head += 1
        state.entries.append(
            HistoryEntry(
                NewEvent(event, topics: topics, isRestricted: record.isRestricted),
                position: Position(state.head),
                id: id(at: Position(state.head)),
                published: published
            )
        )
        return 0
    }
}
