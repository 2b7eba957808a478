// SPDX-License-Identifier: Apache-2.0

/// What one proxy reports of its client.
struct ForwardedElement: Equatable {
    /// The client's address; nil if it is withheld or no address.
    var address: IPAddress?
    /// Whether the client's connection is encrypted; nil if that is not reported.
    var isSecure: Bool?
    /// The host that the client asked for; nil if it is not reported or not valid.
    var authority: String?

    /// The address of a node, with or without its port (RFC 7239, section 6).
    ///
    /// An IPv6 address without brackets is accepted, as `X-Forwarded-For` has it. Nil for `unknown`, for an obfuscated
    /// identifier, and for anything else.
    static func address<Text: BidirectionalCollection<UInt8>>(_ node: Text) -> IPAddress? {
        if let address = IPAddress(node) { return address }
        guard let (host, port) = split(node), isPort(port) || isObfuscated(port) else { return nil }
        return host.first == UInt8(ascii: "[") ? bracketed(host) : IPAddress(host)
    }

    /// Whether a protocol is encrypted HTTP; nil for one that is not HTTP.
    static func isSecure(_ proto: some Collection<UInt8>) -> Bool? {
        let name = proto.map(lowercased)
        if name == Array("https".utf8) { return true }
        return name == Array("http".utf8) ? false : nil
    }

    /// The host, and the port if there is one; nil if it is not valid.
    ///
    /// Names are as browsers send them: letters, digits, dots, hyphens and underscores.
    static func authority<Text: BidirectionalCollection<UInt8>>(_ text: Text) -> String? {
        guard let (host, port) = split(text), isPort(port) else { return nil }
        guard bracketed(host) != nil || (!host.isEmpty && host.allSatisfy(isNameByte)) else { return nil }
        return String(decoding: text, as: UTF8.self)
    }

    /// A host, and what follows it: nothing, or a colon and a port.
    ///
    /// Nil for a host with colons that is not in brackets.
    private static func split<Text: Collection<UInt8>>(
        _ text: Text
    ) -> (host: Text.SubSequence, port: Text.SubSequence)? {
        var end = text.firstIndex(of: UInt8(ascii: ":")) ?? text.endIndex
        if text.first == UInt8(ascii: "[") {
            guard let bracket = text.firstIndex(of: UInt8(ascii: "]")) else { return nil }
            end = text.index(after: bracket)
        }
        return (text[..<end], text[end...])
    }

    /// The IPv6 address in brackets; nil if this is not one.
    private static func bracketed(_ host: some BidirectionalCollection<UInt8>) -> IPAddress? {
        guard host.first == UInt8(ascii: "["), host.last == UInt8(ascii: "]"), host.contains(UInt8(ascii: ":")) else {
            return nil
        }
        return IPAddress(host.dropFirst().dropLast())
    }

    /// Whether this is nothing, or a colon and a port.
    private static func isPort(_ text: some Collection<UInt8>) -> Bool {
        if text.isEmpty { return true }
        let digits = text.dropFirst()
        return text.first == UInt8(ascii: ":") && (1...5).contains(digits.count)
            && digits.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            && UInt16(String(decoding: digits, as: UTF8.self)) != nil
    }

    /// Whether this is a colon and an obfuscated port (RFC 7239, section 6.3).
    private static func isObfuscated(_ text: some Collection<UInt8>) -> Bool {
        text.count > 2 && text.starts(with: ":_".utf8) && text.dropFirst().allSatisfy(isNameByte)
    }

    static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    fileprivate static func lowercased(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        isAlphanumeric(byte) || "-._".utf8.contains(byte)
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        let lower = lowercased(byte)
        return (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(lower)
    }

    /// A byte of a token (RFC 9110, section 5.6.2).
    fileprivate static func isToken(_ byte: UInt8) -> Bool {
        isAlphanumeric(byte) || "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
}

/// Reads the elements of a `Forwarded` field from the right (RFC 7239, section 4).
///
/// Backwards, since what is on the left came from the client: read forwards, a quotation mark there would take the
/// elements of the proxies into its quoted string.
struct ForwardedElements {
    private let bytes: [UInt8]
    /// What is at or after this index has been read.
    private var end: Int

    init(_ field: String) {
        bytes = Array(field.utf8)
        end = bytes.count
    }

    private var last: UInt8? { end > 0 ? bytes[end - 1] : nil }

    /// The next element to the left; nil if there is none, or if it is malformed.
    ///
    /// An empty element is skipped (RFC 9110, section 5.6.1), and spaces around a semicolon are allowed.
    mutating func next() -> ForwardedElement? {
        var element = ForwardedElement()
        var names: Set<[UInt8]> = []
        while true {
            skip(ForwardedElement.isSpace)
            switch last {
            case nil: return names.isEmpty ? nil : element
            case UInt8(ascii: ","):
                end -= 1
                if !names.isEmpty { return element }
            case UInt8(ascii: ";"): end -= 1
            default:
                guard let (name, value) = pair(), names.insert(name).inserted, isBoundary else { return fail() }
                switch name {
                case Array("for".utf8): element.address = ForwardedElement.address(value)
                case Array("proto".utf8): element.isSecure = ForwardedElement.isSecure(value)
                case Array("host".utf8): element.authority = ForwardedElement.authority(value)
                default: break
                }
            }
        }
    }

    /// Whether a pair may begin here.
    private var isBoundary: Bool {
        var rest = self
        rest.skip(ForwardedElement.isSpace)
        return rest.last == nil || rest.last == UInt8(ascii: ",") || rest.last == UInt8(ascii: ";")
    }

    /// Nothing left of a malformed element is believed.
    private mutating func fail() -> ForwardedElement? {
        end = 0
        return nil
    }

    private mutating func skip(_ isSkipped: (UInt8) -> Bool) {
        while let last, isSkipped(last) { end -= 1 }
    }

    /// A parameter's name in lower case, and its value without quotation marks.
    private mutating func pair() -> (name: [UInt8], value: [UInt8])? {
        guard let value = last == UInt8(ascii: "\"") ? quoted() : token(), last == UInt8(ascii: "=") else { return nil }
        end -= 1
        return token().map { ($0.map(ForwardedElement.lowercased), value) }
    }

    private mutating func token() -> [UInt8]? {
        let right = end
        skip(ForwardedElement.isToken)
        return end < right ? Array(bytes[end..<right]) : nil
    }

    /// The content of a quoted string, of which the closing quotation mark is next.
    private mutating func quoted() -> [UInt8]? {
        let right = end - 1
        end = right
        // The opening one is the first that no backslash escapes.
        while true {
            skip { $0 != UInt8(ascii: "\"") }
            guard end > 0 else { return nil }
            end -= 1
            let backslashes = bytes[..<end].reversed().prefix { $0 == UInt8(ascii: "\\") }.count
            if backslashes % 2 == 0 { break }
        }
        var content: [UInt8] = []
        var isEscaped = false
        for byte in bytes[(end + 1)..<right] {
            if !isEscaped, byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else {
                content.append(byte)
                isEscaped = false
            }
        }
        // Otherwise the closing one was escaped.
        return isEscaped ? nil : content
    }
}
