// SPDX-License-Identifier: Apache-2.0

extension String {
    /// Calls `body` with the string's UTF-8, copying only strings bridged from Objective-C.
    @inline(__always)
    func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        // Without Objective-C, strings are always UTF-8 inside: a single call of `body` is inlined, and no `withUTF8`
        // retains a copy.
        #if canImport(ObjectiveC)
        if !isContiguousUTF8 {
            var copy = self
            return unsafe copy.withUTF8 { unsafe body(UnsafeRawBufferPointer($0)) }
        }
        #endif
        guard let result = unsafe utf8.withContiguousStorageIfAvailable({ unsafe body(UnsafeRawBufferPointer($0)) })
        else { preconditionFailure("A native string must provide contiguous UTF-8.") }
        return result
    }

    /// Whether the strings have the same UTF-8; `==` also equates canonically equivalent ones.
    func hasSameBytes(as other: String) -> Bool {
        unsafe withBytes { mine in
            unsafe other.withBytes { unsafe mine.count == $0.count && mine.elementsEqual($0) }
        }
    }

    /// Hashes the length and the UTF-8, so that adjacent strings stay distinct.
    func hashBytes(into hasher: inout Hasher) {
        unsafe withBytes {
            hasher.combine($0.count)
            unsafe hasher.combine(bytes: $0)
        }
    }

    /// Whether any byte is below 0x0E (which includes CR, LF and NUL).
    var hasLowByte: Bool { unsafe withBytes { unsafe LineScanner.hasLowByte($0) } }

    /// The first CR, LF or (unless allowed) NUL, and its offset.
    @usableFromInline
    func firstForbidden(allowingNull: Bool) -> (byte: UInt8, offset: Int)? {
        unsafe withBytes { bytes in
            // The first test rules out nearly every byte.
            for offset in 0..<bytes.count {
                let byte = unsafe bytes[offset]
                if byte <= 0x0D, byte == 0x0A || byte == 0x0D || (byte == 0 && !allowingNull) { return (byte, offset) }
            }
            return nil
        }
    }
}

extension String {
    /// Decodes UTF-8, replacing each maximal invalid subpart with U+FFFD.
    package init(repairing bytes: Span<UInt8>) {
        self = unsafe bytes.withUnsafeBytes { unsafe String(repairing: $0) }
    }

    /// Decodes UTF-8, replacing each maximal invalid subpart with U+FFFD.
    @inlinable
    @inline(__always)
    init(repairing bytes: UnsafeRawBufferPointer) {
        self = unsafe bytes.count < 1024 ? String(decoding: bytes, as: UTF8.self) : String(repairingLong: bytes)
    }

    /// The same, for at least 1024 bytes.
    ///
    /// Detects ASCII, as nearly all long data is, faster than the standard library.
    @usableFromInline
    @inline(never)
    init(repairingLong bytes: UnsafeRawBufferPointer) {
        if #available(macOS 26, iOS 26, tvOS 26, watchOS 26, visionOS 26, *), unsafe LineScanner.isASCII(bytes) {
            unsafe self.init(copying: UTF8Span(unchecked: Span(_unsafeBytes: bytes), isKnownASCII: true))
        } else {
            unsafe self.init(decoding: bytes, as: UTF8.self)
        }
    }
}
