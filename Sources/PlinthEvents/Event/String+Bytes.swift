// SPDX-License-Identifier: Apache-2.0

extension String {
    /// Calls `body` with the string's UTF-8, without a copy but for strings bridged from Objective-C.
    @inline(__always)
    func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        // One call of `body` where strings are always UTF-8 inside, so that it is inlined; and no `withUTF8` there, whose
        // copy counts references.
        #if canImport(ObjectiveC)
        if !isContiguousUTF8 {
            var copy = self
            return unsafe copy.withUTF8 { unsafe body(UnsafeRawBufferPointer($0)) }
        }
        #endif
        guard let result = unsafe utf8.withContiguousStorageIfAvailable({ unsafe body(UnsafeRawBufferPointer($0)) })
        else { preconditionFailure("A string that is UTF-8 inside lends its bytes.") }
        return result
    }

    /// Whether the strings have the same UTF-8; `==` is also true of canonically equivalent ones.
    func hasSameBytes(as other: String) -> Bool {
        unsafe withBytes { mine in
            unsafe other.withBytes { unsafe mine.count == $0.count && mine.elementsEqual($0) }
        }
    }

    /// Hashes the UTF-8 and its length, so that neighbouring strings do not run into each other.
    func hashBytes(into hasher: inout Hasher) {
        unsafe withBytes {
            hasher.combine($0.count)
            unsafe hasher.combine(bytes: $0)
        }
    }

    /// Whether any byte is less than 0x0E, as CR, LF and NUL are.
    var hasLowByte: Bool { unsafe withBytes { unsafe LineScanner.hasLowByte($0) } }

    /// The first byte that ends a field (CR, LF) or, unless allowed, NUL; and its offset.
    @usableFromInline
    func firstForbidden(allowingNull: Bool) -> (byte: UInt8, offset: Int)? {
        unsafe withBytes { bytes in
            // The order of the tests: nearly every byte passes with the first.
            for offset in 0..<bytes.count {
                let byte = unsafe bytes[offset]
                if byte <= 0x0D, byte == 0x0A || byte == 0x0D || (byte == 0 && !allowingNull) { return (byte, offset) }
            }
            return nil
        }
    }
}

extension String {
    /// A string of bytes, with U+FFFD for each maximal part that is not UTF-8.
    package init(repairing bytes: Span<UInt8>) {
        self = unsafe bytes.withUnsafeBytes { unsafe String(repairing: $0) }
    }

    /// A string of bytes, with U+FFFD for each maximal part that is not UTF-8.
    @inlinable
    @inline(__always)
    init(repairing bytes: UnsafeRawBufferPointer) {
        self = unsafe bytes.count < 1024 ? String(decoding: bytes, as: UTF8.self) : String(repairingLong: bytes)
    }

    /// The same, for 64 bytes and more.
    ///
    /// Whether they are ASCII, as nearly all long data is, is found faster here than in the standard library.
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
