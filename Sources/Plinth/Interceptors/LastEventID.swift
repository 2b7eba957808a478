// SPDX-License-Identifier: Apache-2.0

extension HTTPField.Name {
    /// `Last-Event-ID`: the ID of the last event that a client has seen (HTML standard, section 9.2.4).
    public static let lastEventID: HTTPField.Name = {
        guard let name = HTTPField.Name("Last-Event-ID") else { preconditionFailure("a token is a field's name") }
        return name
    }()
}

extension Request {
    /// Where a client wants an event stream to be resumed: the ID of the last event that it has seen.
    ///
    /// That is the `Last-Event-ID` header, whose bytes are UTF-8. A browser cannot set it for the first connection, so
    /// without the header the query parameter `last-event-id` counts, decoded once, as forms are: `%2B` is a plus sign
    /// and `+` a space, which is how `URLSearchParams` writes them. A browser that reconnects sends both, and then the
    /// header is the newer one.
    ///
    /// Nil if neither was sent, or if what was sent cannot have been an ID: it is empty, is not UTF-8, or holds NUL, CR
    /// or LF.
    public var lastEventID: String? {
        if let field = headers[fields: .lastEventID].first {
            return field.withUnsafeBytesOfValue { Self.eventID(String(validating: $0, as: UTF8.self)) }
        }
        return Self.eventID(queryParameters["last-event-id"])
    }

    private static func eventID(_ text: String?) -> String? {
        guard let text, !text.isEmpty, !text.utf8.contains(where: { $0 == 0 || $0 == 0x0A || $0 == 0x0D })
        else { return nil }
        return text
    }
}
