// SPDX-License-Identifier: Apache-2.0

extension HTTPField.Name {
    /// `Last-Event-ID`: the ID of the last event that a client has seen (HTML standard, section 9.2.4).
    public static let lastEventID: HTTPField.Name = {
        guard let name = HTTPField.Name("Last-Event-ID") else { preconditionFailure("a token is a field's name") }
        return name
    }()
}

/// What a request says about where its stream is to be resumed.
package enum ResumePoint: Sendable, Hashable {
    /// Nothing: an empty ID is none.
    case none
    /// The last event that the client has seen.
    case after(String)
    /// An ID that no event can have: it is not UTF-8, or holds NUL, CR or LF.
    case malformed
}

extension Request {
    /// Where a client wants an event stream to be resumed: the ID of the last event that it has seen.
    ///
    /// That is the `Last-Event-ID` header, whose bytes are UTF-8. A browser cannot set it for the first connection, so
    /// without the header the query counts: the parameter `last-event-id`, in any of the spellings that servers and
    /// polyfills use (`lastEventId`, `lastEventID`, `Last-Event-ID`, `last_event_id`): neither case nor `-` nor `_` matters.
    /// It is decoded once, as forms are: `%2B` is a plus sign and `+` a space, which is how `URLSearchParams` writes them. A
    /// browser that reconnects sends both, and then the header is the newer one.
    ///
    /// Of several in the query the last one counts that is not empty: a polyfill that reconnects appends its own to the
    /// address that it was given.
    ///
    /// Nil if neither was sent, or if what was sent cannot have been an ID: it is empty, is not UTF-8, or holds NUL, CR
    /// or LF.
    public var lastEventID: String? {
        if case .after(let id) = resumePoint() { id } else { nil }
    }

    /// Where a client wants an event stream to be resumed, by its header, else its query, else a form.
    ///
    /// - Parameter form: A form in the body; none unless given.
    /// - Returns: What is said, also if no event can have such an ID.
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
        // All spellings together have no more separators than bytes; longer names need not be looked at.
        guard name.utf8.count <= 32 else { return false }
        let letters = name.utf8.lazy.filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: "_") }
        // Only letters become letters.
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
