// SPDX-License-Identifier: Apache-2.0

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension ServerSentEvent {
    /// An event whose data is a value as JSON, on one line.
    ///
    /// - Parameters:
    ///   - value: Becomes the data.
    ///   - type: The event's type; none unless given.
    ///   - id: The event's ID; none unless given.
    /// - Throws: What encoding throws; ``/PlinthEvents/ServerSentEventError`` if type or ID is not valid.
    public init<Value: Encodable>(json value: Value, type: String? = nil, id: String? = nil) throws {
        let data = try JSONEncoder().encode(value)
        try self.init(type: type, data: String(decoding: data, as: UTF8.self), id: id)
    }
}
