// SPDX-License-Identifier: Apache-2.0

/// The name-value pairs of a query or form, in the order received; a name may occur more than once.
///
/// The format is `application/x-www-form-urlencoded` (URL standard): `+` decodes to a space, and each name and value is
/// percent-decoded once. Names are compared byte by byte.
public struct FormParameters: Sendable, RandomAccessCollection {
    /// A name and its value; the value is empty if there was no equals sign.
    public typealias Element = (name: String, value: String)

    private var pairs: [Element] = []

    /// Creates an empty collection.
    public init() {}

    /// The first value with the given name, or nil if there is none.
    public subscript(name: String) -> String? {
        first { $0.name.utf8.elementsEqual(name.utf8) }?.value
    }

    /// All values with the given name, in order.
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
    ///   - limit: The maximum number of pairs.
    ///   - place: The name of the source in error messages.
    /// - Throws: ``HTTPError`` with status 400 if there are more than `limit` pairs, or if one is malformed; the
    ///   message names its position.
    package init(decoding text: some Collection<UInt8>, limit: Int, place: String) throws {
        var parts = Parts(rest: Array(text)[...])
        while let part = parts.next() {
            guard pairs.count < limit else {
                throw HTTPError(.badRequest, "\(place) has more than \(limit) parameters")
            }
            guard let pair = Self.pair(part) else {
                throw HTTPError(
                    .badRequest,
                    "parameter \(pairs.count + 1) of \(place) is malformed: each % needs two hexadecimal digits, "
                        + "and the decoded bytes must be UTF-8"
                )
            }
            pairs.append(pair)
        }
    }

    /// Decodes up to `limit` pairs, skipping malformed ones.
    init(lenientlyDecoding text: some Collection<UInt8>, limit: Int) {
        var parts = Parts(rest: Array(text)[...])
        while pairs.count < limit, let part = parts.next() {
            if let pair = Self.pair(part) { pairs.append(pair) }
        }
    }

    /// Splits off the encoded pairs lazily, so that a form of a million pairs is not split beyond the limit.
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
