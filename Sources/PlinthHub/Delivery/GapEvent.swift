// SPDX-License-Identifier: Apache-2.0

import PlinthEvents

/// Tells a subscriber that events it needs are no longer held.
///
/// Its data is a JSON object: `requested`, the last ID that the subscriber had; `oldest`, the ID of the event that comes
/// next, or null; and `through`, up to where events may be missing, which with several topics may lie beyond that one, or
/// null if that is not known. Its own ID makes a client that reconnects go on from here.
struct GapEvent {
    let requested: EventID
    let oldest: EventID?
    let through: EventID?

    var data: String {
        "{\"requested\":\(JSONString.quoted(requested.description)),\"oldest\":\(JSONString.quoted(oldest?.description)),\"through\":\(JSONString.quoted(through?.description))}"
    }

    func frame(type: String, id: EventID) -> EventFrame {
        let data = self.data
        var bytes = [UInt8](repeating: 0, count: NewEvent.prefix)
        do {
            try ServerSentEvent(type: type, data: data).encode(into: &bytes)
        } catch {
            // A type that cannot be one: the event is better told without it than not at all.
            ServerSentEvent(data: data).encode(into: &bytes)
        }
        bytes.removeLast()
        return EventFrame(fields: bytes, id: id.utf8)
    }
}
