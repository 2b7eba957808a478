// SPDX-License-Identifier: Apache-2.0

/// The bytes that a `Range` field requests (RFC 9110, section 14.1.2).
enum ByteRange: Equatable {
    /// A single satisfiable range.
    case bytes(Range<Int>)
    /// A valid range that contains no byte of the file.
    case unsatisfiable
    /// The whole file: the field is malformed, uses another unit, or requests several ranges, which a server may
    /// ignore.
    case whole

    /// - Parameters:
    ///   - field: The value of the field.
    ///   - size: The size of the file in bytes.
    init(_ field: String, size: Int) {
        self = .whole
        guard field.lowercased().hasPrefix("bytes=") else { return }
        let parts = field.utf8.dropFirst(6).split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ $0.allSatisfy { (0x30...0x39).contains($0) } }) else { return }
        // A number that overflows Int exceeds any file size.
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
