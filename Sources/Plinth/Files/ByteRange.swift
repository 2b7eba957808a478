// SPDX-License-Identifier: Apache-2.0

/// What a `Range` field asks for (RFC 9110, section 14.1.2).
enum ByteRange: Equatable {
    /// These bytes.
    case bytes(Range<Int>)
    /// A range without a byte in it.
    case unsatisfiable
    /// Everything: the field is malformed, of another unit, or asks for several ranges, which a server need not serve.
    case whole

    /// - Parameters:
    ///   - field: The value of the field.
    ///   - size: The number of bytes that there are.
    init(_ field: String, size: Int) {
        self = .whole
        guard field.lowercased().hasPrefix("bytes=") else { return }
        let parts = field.utf8.dropFirst(6).split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ $0.allSatisfy { (0x30...0x39).contains($0) } }) else { return }
        // A number that does not fit is larger than any file.
        let numbers = parts.map { part in part.isEmpty ? nil : Int(Substring(part)) ?? Int.max }
        switch (numbers[0], numbers[1]) {
        case (let first?, let last?):
            guard first <= last else { return }
            self = first < size ? .bytes(first..<(min(last, size - 1) + 1)) : .unsatisfiable
        case (let first?, nil):
            self = first < size ? .bytes(first..<size) : .unsatisfiable
        case (nil, let count?):
            self = count > 0 && size > 0 ? .bytes(max(0, size - count)..<size) : .unsatisfiable
        case (nil, nil):
            return
        }
    }
}
