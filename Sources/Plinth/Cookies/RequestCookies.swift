// SPDX-License-Identifier: Apache-2.0

/// The cookies of a request, in the order received.
public struct RequestCookies: Sendable {
    private var pairs: [(name: String, value: String)] = []

    /// Parses the `Cookie` fields.
    ///
    /// Pairs without an equals sign or name are skipped: browsers send them if a page of another host in the domain set
    /// them.
    package init(_ headers: HTTPFields) {
        for field in headers[values: .cookie] {
            for part in field.utf8.split(separator: UInt8(ascii: ";")) {
                let trimmed = part.drop { $0 == 0x20 || $0 == 0x09 }
                guard let mark = trimmed.firstIndex(of: UInt8(ascii: "=")), mark > trimmed.startIndex else { continue }
                var value = trimmed[trimmed.index(after: mark)...]
                while let last = value.last, last == 0x20 || last == 0x09 { value.removeLast() }
                pairs.append((String(Substring(trimmed[..<mark])), String(Substring(value))))
            }
        }
    }

    /// The value of the first cookie with the given name; nil if there is none.
    ///
    /// Browsers send the cookie with the longest path first. The value is not decoded. Treat it as untrusted input.
    public subscript(name: String) -> String? {
        pairs.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
    }

    /// All values with the given name, in order.
    public func all(_ name: String) -> [String] {
        pairs.filter { $0.name.utf8.elementsEqual(name.utf8) }.map(\.value)
    }

    /// The number of cookies.
    public var count: Int { pairs.count }
}
