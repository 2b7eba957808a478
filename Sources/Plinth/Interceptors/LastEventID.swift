// SPDX-License-Identifier: Apache-2.0

extension HTTPField.Name {
    /// `Last-Event-ID`: the ID of the last event that a client received (HTML standard, section 9.2.4).
    public static let lastEventID: HTTPField.Name = {
        guard let name = HTTPField.Name("Last-Event-ID") else { preconditionFailure("a token is a field's name") }
        return name
    }()
}

/// The point from which a request resumes its stream.
package enum ResumePoint: Sendable, Hashable {
    /// No ID, or an empty one.
    case none
    /// The ID of the last event that the client received.
    case after(String)
    /// An ID that no event can have: it is not UTF-8, or contains NUL, CR or LF.
    case malformed
}

extension Request {
    /// The ID of the last event that the client received, to resume an event stream from.
    ///
    /// It is the `Last-Event-ID` header, decoded as UTF-8. A browser cannot set the header on the first connection, so
    /// without it the query parameter `last-event-id` applies, in any spelling that servers and polyfills use
    /// (`lastEventId`, `lastEventID`, `Last-Event-ID`, `last_event_id`): case, `-` and `_` are ignored. It is
    /// form-decoded once: `%2B` is a plus sign and `+` a space, as `URLSearchParams` encodes them. A browser that
    /// reconnects sends both; the header is then the newer one.
    ///
    /// Of several query parameters, the last non-empty one applies: a reconnecting polyfill appends its own to the URL.
    ///
    /// Nil if neither was sent, or if the value is empty, is not UTF-8, or contains NUL, CR or LF.
    public var lastEventID: String? {
        if case .after(let id) = resumePoint() { id } else { nil }
    }

    /// The resume point from the header, else the query, else a form.
    ///
    /// - Parameter form: A form in the body. Default: none.
    /// - Returns: The resume point; malformed IDs are reported as such.
    package func resumePoint(form: FormParameters = FormParameters()) -> ResumePoint {
        if let field = headers[fields: .lastEventID].first {
            return field.withUnsafeBytesOfValue { bytes in
                String(validating: bytes, as: UTF8.self).map(ResumePoint.init) ?? .malformed
            }
        }
        for parameters in [queryParameters, form] {
            let ids = parameters.filter { Self.isLastEventID($0.name) && !$0.value.isEmpty }
            if let id = ids.last { return ResumePoint(id.value) }
        }
        return .none
    }

    /// Whether a parameter's name is a spelling of `last-event-id`.
    private static func isLastEventID(_ name: String) -> Bool {
        // Bounds the work: longer names are never a plausible spelling.
        guard name.utf8.count <= 32 else { return false }
        let letters = name.utf8.lazy.filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: "_") }
        // Setting bit 0x20 maps only letters to letters.
        return letters.map { $0 | 0x20 }.elementsEqual("lasteventid".utf8)
    }
}

extension ResumePoint {
    fileprivate init(_ text: String) {
        if text.isEmpty {
            self = .none
        } else if text.utf8.contains(where: { $0 == 0 || $0 == 0x0A || $0 == 0x0D }) {
            self = .malformed
        } else {
            self = .after(text)
        }
    }
}
