// SPDX-License-Identifier: Apache-2.0

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension ServerSentEvent {
    /// Creates an event whose data is a value encoded as JSON, on one line.
    ///
    /// - Parameters:
    ///   - value: The value to encode.
    ///   - type: The event's type. Default: none.
    ///   - id: The event's ID. Default: none.
    /// - Throws: Any error of encoding; ``/PlinthEvents/ServerSentEventError`` if the type or the ID is invalid.
    public init<Value: Encodable>(json value: Value, type: String? = nil, id: String? = nil) throws {
        let data = try JSONEncoder().encode(value)
        try self.init(type: type, data: String(decoding: data, as: UTF8.self), id: id)
    }
}
