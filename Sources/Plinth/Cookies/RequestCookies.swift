// SPDX-License-Identifier: Apache-2.0

/// The cookies that a client sent, in order.
public struct RequestCookies: Sendable {
    private var pairs: [(name: String, value: String)] = []

    /// Reads `Cookie` fields.
    ///
    /// What has no equals sign or no name is left out: browsers send such things if a page of another host of the
    /// domain made them.
    init(_ headers: HTTPFields) {
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

    /// The value of the first cookie of a name, which is the one with the longest path; nil if there is none.
    ///
    /// It is what was sent, not decoded in any way. Trust it no more than any other input.
    public subscript(name: String) -> String? {
        pairs.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
    }

    /// All values of a name, in order.
    public func all(_ name: String) -> [String] {
        pairs.filter { $0.name.utf8.elementsEqual(name.utf8) }.map(\.value)
    }

    /// The number of cookies.
    public var count: Int { pairs.count }
}
