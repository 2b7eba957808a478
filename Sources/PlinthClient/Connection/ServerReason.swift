// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import PlinthStreams

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A server's reason for a refusal, sanitized for one line of text.
struct ServerReason: Sendable, Equatable, CustomStringConvertible {
    /// The maximum number of body bytes read.
    static let maximumSize = 4096
    /// The time limit for reading the body.
    static let timeout = Duration.seconds(1)
    /// The maximum length, in Unicode scalars.
    private static let maximumLength = 300

    let text: String
    let code: String?

    var description: String { text + (code.map { " (\($0))" } ?? "") }

    /// Whether the response may have a reason: a status of 400 or above, and uncompressed plain text or JSON.
    static func isLookedFor(in head: EventSourceResponseHead) -> Bool {
        guard head.status >= 400, head.headerFields[.contentEncoding] == nil else { return false }
        return form(head.headerFields) != nil
    }

    private enum Form {
        case json
        case text
    }

    private static func form(_ fields: HTTPFields) -> Form? {
        guard let type = MediaType(fields)?.essence else { return nil }
        if type == "application/json" || type.hasSuffix("+json") { return .json }
        return type == "text/plain" ? .text : nil
    }

    /// Parses the beginning of a body.
    ///
    /// - Parameters:
    ///   - bytes: The body, or its beginning.
    ///   - fields: The response's fields.
    init?(_ bytes: [UInt8], _ fields: HTTPFields) {
        switch Self.form(fields) {
        case .json?:
            guard let object = try? JSONDecoder().decode(Object.self, from: Data(bytes)), let text = object.text else {
                return nil
            }
            self.init(text, code: object.code)
        case .text?: self.init(String(decoding: bytes, as: UTF8.self), code: nil)
        case nil: return nil
        }
    }

    private init?(_ text: String, code: String?) {
        self.text = Self.cleaned(text)
        if self.text.isEmpty { return nil }
        let code = code.map { Self.cleaned($0) }
        self.code = code?.isEmpty == false ? code : nil
    }

    /// The text on one line, without control characters or a trailing full stop.
    private static func cleaned(_ text: String) -> String {
        var result = ""
        var length = 0
        for scalar in text.unicodeScalars {
            if length == maximumLength {
                result += "…"
                break
            }
            switch scalar.value {
            // Runs of blanks and line ends of all kinds become one space.
            case 0x09...0x0D, 0x20, 0x85, 0x2028, 0x2029:
                if result.isEmpty || result.hasSuffix(" ") { continue }
                result += " "
            // Control characters and bidirectional controls.
            case 0..<0x20, 0x7F..<0xA0, 0x200E, 0x200F, 0x202A...0x202E, 0x2066...0x2069: result += "\u{FFFD}"
            default: result.unicodeScalars.append(scalar)
            }
            length += 1
        }
        while let last = result.last, last == " " || last == "." { result.removeLast() }
        return result
    }

    /// An object with an `error` (a string, or an object with a `message`, as in model APIs), or a problem (RFC 9457).
    private struct Object: Decodable {
        let text: String?
        let code: String?

        private enum Key: String, CodingKey {
            case error, message, detail, title, code
        }

        init(from decoder: any Decoder) throws {
            let fields = try decoder.container(keyedBy: Key.self)
            var code = Self.text(fields, .code)
            if let error = try? fields.nestedContainer(keyedBy: Key.self, forKey: .error) {
                text = Self.text(error, .message)
                code = code ?? Self.text(error, .code)
            } else {
                text = [.error, .detail, .message, .title].lazy.compactMap { Self.text(fields, $0) }.first
            }
            self.code = code
        }

        /// A non-empty string, or an integer.
        private static func text(_ fields: KeyedDecodingContainer<Key>, _ key: Key) -> String? {
            if let text = try? fields.decode(String.self, forKey: key) { return text.isEmpty ? nil : text }
            return (try? fields.decode(Int.self, forKey: key)).map { "\($0)" }
        }
    }
}
