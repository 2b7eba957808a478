// SPDX-License-Identifier: Apache-2.0

extension [UInt8] {
    /// Appends a number in decimal digits.
    mutating func appendDecimal(_ number: UInt64) { number.withDecimalDigits { append(contentsOf: $0) } }
}

extension UInt64 {
    /// Calls a closure with the number in decimal digits.
    func withDecimalDigits<Result>(_ body: (Slice<UnsafeMutableRawBufferPointer>) -> Result) -> Result {
        var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
        return Swift.withUnsafeMutableBytes(of: &digits) { digits in
            var rest = self
            var start = digits.count
            repeat {
                start -= 1
                digits[start] = 0x30 + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            } while rest > 0
            return body(digits[start...])
        }
    }
}

extension UInt64 {
    /// Parses a number exactly as ``Swift/Array/appendDecimal(_:)`` writes it: digits alone, no leading zeros.
    init?(decimal digits: ArraySlice<UInt8>) {
        guard let leading = digits.first, leading != 0x30 || digits.count == 1 else { return nil }
        var number: UInt64 = 0
        for digit in digits {
            guard (0x30...0x39).contains(digit) else { return nil }
            let (product, overflow) = number.multipliedReportingOverflow(by: 10)
            let (sum, overflow2) = product.addingReportingOverflow(UInt64(digit - 0x30))
            guard !overflow, !overflow2 else { return nil }
            number = sum
        }
        self = number
    }
}
