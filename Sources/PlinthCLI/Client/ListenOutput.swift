// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import Foundation
import PlinthClient
import Synchronization

/// What `plinth listen` prints, and which events end it.
struct ListenOutput {
    private let text: EventText
    /// The types to print; empty for all.
    private let types: Set<String>
    private let ends: [EventTerminator]
    /// The number of events to print; nil for any number.
    private let count: Int?
    /// Keeps the last event ID.
    private let file: ResumeFile?
    /// The topics of a hub's stream; nil if they are unknown.
    private var topics: HubTopics?
    private(set) var printed = 0
    private var bytes: [UInt8] = []

    init(
        text: EventText,
        types: Set<String>,
        ends: [EventTerminator],
        count: Int?,
        file: ResumeFile?,
        topics: HubTopics?
    ) {
        self.text = text
        self.types = types
        self.ends = ends
        self.count = count
        self.file = file
        self.topics = topics
    }

    /// Prints an event.
    ///
    /// - Returns: Whether it is the last one asked for.
    mutating func put(_ event: EventSource.Event) throws(ResumeFile.Failure) -> Bool {
        let isPrinted = types.isEmpty || types.contains(event.type)
        if isPrinted {
            text.append(event, to: &bytes)
            flush()
            printed += 1
        }
        try file?.write(event.lastEventID)
        return isPrinted && printed == count || ends.contains { $0.matches(event) }
    }

    mutating func put(comment: String) {
        text.append(comment: comment, to: &bytes)
        flush()
    }

    private mutating func flush() {
        StandardStreams.put(&bytes)
        bytes.removeAll(keepingCapacity: bytes.capacity <= 1 << 20)
    }

    /// Whether a hub sends no event after this one, as all topics of the stream have ended.
    ///
    /// False if the URL does not name them; the hub then answers 204 to the next connection.
    mutating func hasEnded(with event: EventSource.Event) -> Bool {
        struct End: Decodable { var topic: String }
        guard event.type == "end", let end = try? JSONDecoder().decode(End.self, from: Data(event.data.utf8)) else {
            return false
        }
        return topics?.end(end.topic) ?? false
    }
}

/// The time of `--for`: closes the current source when it is over.
final class ListenClock: Sendable {
    private struct State {
        var source: EventSource?
        var isOver = false
    }

    private let end: ContinuousClock.Instant?
    private let state = Mutex(State())

    /// - Parameter time: The time; nil for no limit.
    init(_ time: Duration?) { end = time.map { ContinuousClock.now + $0 } }

    /// The time that is left; nil for no limit.
    var rest: Duration? { end.map { max(.zero, $0 - ContinuousClock.now) } }

    var isOver: Bool { state.withLock { $0.isOver } || rest == .zero }

    /// Starts the timer, until its task is cancelled; nil without a limit.
    func start() -> Task<Void, any Error>? {
        guard let end else { return nil }
        return Task {
            // The end of `--for`; cancelled if the command finishes before.
            try await Task.sleep(until: end, clock: .continuous)
            let source = state.withLock { state in
                state.isOver = true
                return state.source
            }
            source?.close()
        }
    }

    /// Closes a source when the time is over, in place of an earlier one.
    func watch(_ source: EventSource) {
        let isOver = state.withLock { state in
            state.source = source
            return state.isOver
        }
        if isOver { source.close() }
    }
}
#endif
