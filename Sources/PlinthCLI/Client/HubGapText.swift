// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import Foundation
import PlinthClient
import PlinthStreams

/// What a hub reports about events that it no longer holds.
struct HubGapText: Codable {
    /// The last event that the client had.
    var requested: String?
    /// The event that follows.
    var oldest: String?
    /// The position up to which events may be missing.
    var through: String?

    /// The gap of an event; nil if it is none of a hub's.
    init?(_ event: EventSource.Event) {
        guard event.type == "gap", let gap = try? JSONDecoder().decode(Self.self, from: Data(event.data.utf8)) else {
            return nil
        }
        self = gap
    }

    /// The event that a stream has for the gap, without an ID.
    var event: EventSource.Event {
        var data = Array("{\"requested\":".utf8)
        func add(_ text: String?) {
            guard let text else { return data += Array("null".utf8) }
            data.append(0x22)
            JSONString.appendEscaped(Array(text.utf8).span, to: &data)
            data.append(0x22)
        }
        add(requested)
        data += Array(",\"oldest\":".utf8)
        add(oldest)
        data += Array(",\"through\":".utf8)
        add(through)
        return EventSource.Event(type: "gap", data: String(decoding: data, as: UTF8.self) + "}")
    }

    /// A message for the user.
    var message: String {
        "the hub no longer holds events after \(requested ?? "the start")" + (through.map { ", through \($0)" } ?? "")
    }
}
#endif
