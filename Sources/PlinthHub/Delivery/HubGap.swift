// SPDX-License-Identifier: Apache-2.0

package import PlinthEvents

/// A gap in what a subscriber receives: events that it needs are no longer held.
public struct HubGap: Sendable, Hashable {
    /// The last event that the subscriber had.
    public let requested: EventID
    /// The event that follows; nil if none is held.
    public let oldest: EventID?
    /// The position up to which events may be missing, as an ID; nil if it is not known.
    ///
    /// With several topics it may lie after ``oldest``.
    public let through: EventID?

    init(requested: EventID, oldest: EventID?, through: EventID?) {
        self.requested = requested
        self.oldest = oldest
        self.through = through
    }

    /// The gap before a batch, for every reader of history; nil if there is none.
    ///
    /// - Parameters:
    ///   - batch: The result of the read.
    ///   - position: The last event that the reader had; nil if it began with the oldest, which misses nothing.
    ///   - unknown: The ID that the reader asked for, if the history does not know it.
    ///   - history: The history.
    init?(before batch: HistoryBatch, after position: Position?, unknown: EventID?, in history: any History) {
        let missed = batch.missingThrough == nil ? nil : position.map(history.id(at:))
        guard let requested = unknown ?? missed else { return nil }
        self.init(
            requested: requested,
            oldest: batch.entries.first?.id,
            through: batch.missingThrough.map(history.id(at:))
        )
    }
}

extension HubGap {
    /// A JSON object with `requested`, `oldest` and `through`: IDs, or null.
    package var data: String {
        "{\"requested\":\(JSONString.quoted(requested.description)),\"oldest\":\(JSONString.quoted(oldest?.description)),"
            + "\"through\":\(JSONString.quoted(through?.description))}"
    }

    /// The event that reports the gap, for forwarding updates as events.
    ///
    /// - Parameter type: Its type.
    /// - Returns: The event, without an ID.
    package func event(type: String) -> ServerSentEvent {
        // With an invalid type, the event is sent without one.
        (try? ServerSentEvent(type: type, data: data)) ?? ServerSentEvent(data: data)
    }

    /// The encoded event that reports the gap.
    ///
    /// - Parameters:
    ///   - type: Its type.
    ///   - id: Its ID, after which a client that reconnects resumes.
    /// - Returns: The frame.
    func frame(type: String, id: EventID) -> EventFrame {
        var bytes = [UInt8](repeating: 0, count: NewEvent.prefix)
        event(type: type).encode(into: &bytes)
        bytes.removeLast()
        return EventFrame(fields: bytes, id: id.utf8)
    }
}
