// SPDX-License-Identifier: Apache-2.0

extension ServerSentEvent {
    /// The size of the encoded event in bytes, exactly.
    ///
    /// - Complexity: O(*n*) in the size of the event.
    public var encodedByteCount: Int {
        unsafe withFields { fields in unsafe fields.byteCount }
    }

    /// Appends the encoded event to an array.
    ///
    /// Allocates nothing but what the array needs to grow, and grows it once at most.
    ///
    /// - Parameter buffer: Where the event is appended.
    /// - Complexity: O(*n*) in the size of the event.
    public func encode(into buffer: inout [UInt8]) {
        unsafe withFields { fields in unsafe fields.append(to: &buffer) }
    }

    /// Appends the encoded event to any buffer of bytes.
    ///
    /// - Parameter buffer: Where the event is appended, a few pieces for each line.
    /// - Complexity: O(*n*) in the size of the event.
    @inlinable
    public func encode(into buffer: inout some RangeReplaceableCollection<UInt8>) {
        unsafe encodePieces { piece in unsafe buffer.append(contentsOf: piece) }
    }

    /// Writes the encoded event into memory, which need not be initialized.
    ///
    /// For buffers that give access to their free space, such as SwiftNIO's:
    ///
    /// ```swift
    /// buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: event.encodedByteCount) { event.encode(into: $0) }
    /// ```
    ///
    /// - Parameter memory: At least ``encodedByteCount`` bytes. Nothing is written past its end: too small a memory is
    ///   a precondition failure.
    /// - Returns: The number of bytes written, from the start: ``encodedByteCount``.
    public func encode(into memory: UnsafeMutableRawBufferPointer) -> Int {
        unsafe withFields { fields in unsafe fields.write(into: memory) }
    }

    @usableFromInline
    func encodePieces(_ append: (UnsafeRawBufferPointer) -> Void) {
        unsafe withFields { fields in unsafe fields.writePieces(append) }
    }

    @inline(__always)
    func withFields<R>(_ body: (EncodedFields) -> R) -> R {
        unsafe data.withBytes { data in
            var fields = unsafe EncodedFields(retry: retryMilliseconds, data: data)
            return unsafe Self.withOptionalBytes(checkedType?.rawValue) { type in
                unsafe fields.type = type
                return unsafe Self.withOptionalBytes(checkedID?.rawValue) { id in
                    unsafe fields.id = id
                    return unsafe body(fields)
                }
            }
        }
    }

    @inline(__always)
    private static func withOptionalBytes<R>(_ string: String?, _ body: (UnsafeRawBufferPointer?) -> R) -> R {
        guard let string else { return body(nil) }
        return unsafe string.withBytes { unsafe body($0) }
    }
}
