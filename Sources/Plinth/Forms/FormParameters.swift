// SPDX-License-Identifier: Apache-2.0

/// Names and values of a query or a form, in the order in which they were sent; a name may come several times.
///
/// The format is the URL standard's `application/x-www-form-urlencoded`: `+` stands for a space, and each name and
/// value is percent-decoded once. Names are compared byte by byte.
public struct FormParameters: Sendable, RandomAccessCollection {
    /// A name and its value, empty if there was no equals sign.
    public typealias Element = (name: String, value: String)

    private var pairs: [Element] = []

    /// None.
    public init() {}

    /// The first value of a name, nil if it was not sent.
    public subscript(name: String) -> String? {
        first { $0.name.utf8.elementsEqual(name.utf8) }?.value
    }

    /// All values of a name, in order.
    public func all(_ name: String) -> [String] {
        filter { $0.name.utf8.elementsEqual(name.utf8) }.map(\.value)
    }

    /// Zero.
    public var startIndex: Int { 0 }
    /// The number of pairs.
    public var endIndex: Int { pairs.count }
    /// The pair at a position.
    public subscript(position: Int) -> Element { pairs[position] }

    /// Decodes a query or a form.
    ///
    /// - Parameters:
    ///   - text: The encoded form.
    ///   - limit: The most pairs to accept.
    ///   - place: How messages call it.
    /// - Throws: ``HTTPError`` with status 400 for more pairs than `limit`, and for one that is malformed, by position.
    package init(decoding text: some Collection<UInt8>, limit: Int, place: String) throws {
        var parts = Parts(rest: Array(text)[...])
        while let part = parts.next() {
            guard pairs.count < limit else {
                throw HTTPError(.badRequest, "\(place) has more than the \(limit) parameters accepted here")
            }
            guard let pair = Self.pair(part) else {
                throw HTTPError(
                    .badRequest,
                    "parameter \(pairs.count + 1) of \(place) is malformed: after each % come two hexadecimal digits, "
                        + "and together they are UTF-8"
                )
            }
            pairs.append(pair)
        }
    }

    /// Decodes what can be decoded, and leaves out what is malformed or beyond the limit.
    init(lenientlyDecoding text: some Collection<UInt8>, limit: Int) {
        var parts = Parts(rest: Array(text)[...])
        while pairs.count < limit, let part = parts.next() {
            if let pair = Self.pair(part) { pairs.append(pair) }
        }
    }

    /// The encoded pairs, one after the other: a form of a million of them is not split before the limit is reached.
    private struct Parts {
        var rest: ArraySlice<UInt8>

        mutating func next() -> ArraySlice<UInt8>? {
            while !rest.isEmpty {
                let end = rest.firstIndex(of: UInt8(ascii: "&")) ?? rest.endIndex
                let part = rest[..<end]
                rest = rest[end...].dropFirst()
                if !part.isEmpty { return part }
            }
            return nil
        }
    }

    private static func pair(_ part: ArraySlice<UInt8>) -> Element? {
        let mark = part.firstIndex(of: UInt8(ascii: "=")) ?? part.endIndex
        guard let name = PercentEncoding.decodeString(part[..<mark], plusIsSpace: true),
            let value = PercentEncoding.decodeString(part[mark...].dropFirst(), plusIsSpace: true)
        else { return nil }
        return (name, value)
    }
}
