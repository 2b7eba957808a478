// SPDX-License-Identifier: Apache-2.0

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// An event of the hub itself, which no publisher can send.
enum HubNotice: Sendable, Equatable {
    case heartbeat
    case gap(EventSource.HubGap)
    case end(topic: String)

    /// The type of an end, which is not configurable.
    private static let endType = "end"

    /// Interprets an event; nil if it was published.
    ///
    /// Unknown keys in its data are ignored.
    ///
    /// - Parameters:
    ///   - event: The event.
    ///   - hub: The types of the hub's own events.
    /// - Throws: The decoder's error if the event has the type of a gap or an end, but not its data.
    init?(_ event: EventSource.Event, of hub: EventSourceHub) throws {
        if let type = hub.heartbeatEvent, event.type.utf8.elementsEqual(type.utf8) {
            self = .heartbeat
        } else if event.type.utf8.elementsEqual(hub.gapType.utf8) {
            let gap = try Self.decode(GapData.self, event)
            self = .gap(EventSource.HubGap(requested: gap.requested, oldest: gap.oldest, through: gap.through))
        } else if event.type.utf8.elementsEqual(Self.endType.utf8) {
            self = .end(topic: try Self.decode(EndData.self, event).topic)
        } else {
            return nil
        }
    }

    private static func decode<Value: Decodable>(_ value: Value.Type, _ event: EventSource.Event) throws -> Value {
        try JSONDecoder().decode(value, from: Data(event.data.utf8))
    }

    /// All keys are required, so that an event of another server is not mistaken for a gap.
    private struct GapData: Decodable {
        let requested: String?
        let oldest: String?
        let through: String?

        private enum Key: String, CodingKey {
            case requested, oldest, through
        }

        init(from decoder: any Decoder) throws {
            let fields = try decoder.container(keyedBy: Key.self)
            // Unlike `decodeIfPresent`, fails if the key is missing.
            requested = try fields.decode(String?.self, forKey: .requested)
            oldest = try fields.decode(String?.self, forKey: .oldest)
            through = try fields.decode(String?.self, forKey: .through)
        }
    }

    private struct EndData: Decodable {
        let topic: String
    }
}
