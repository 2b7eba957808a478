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
    /// Allocates nothing but what the array needs to grow; one that is used again, emptied with its capacity kept, soon
    /// needs nothing.
    ///
    /// - Parameter buffer: Where the event is appended.
    /// - Complexity: O(*n*) in the size of the event.
    @inlinable
    public func encode(into buffer: inout [UInt8]) {
        // Parts and not the event, so that one that is built to be encoded is never put together.
        let parts = parts
        Self.encode(type: parts.type, data: parts.data, id: parts.id, retry: parts.retry, into: &buffer)
    }

    @usableFromInline
    @inline(never)
    static func encode(type: String?, data: String, id: String?, retry: Int64, into buffer: inout [UInt8]) {
        if retry < 0, SmallEvent.append(type: type, data: data, id: id, to: &buffer) { return }
        encodeAny(type: type, data: data, id: id, retry: retry, into: &buffer)
    }

    @inline(never)
    private static func encodeAny(type: String?, data: String, id: String?, retry: Int64, into buffer: inout [UInt8]) {
        unsafe withFields(type: type, data: data, id: id, retry: retry) { unsafe $0.append(to: &buffer) }
    }

    /// Appends an event of strings that are only known at run time, without building it.
    ///
    /// The same as ``init(type:data:id:retry:)-(String?,_,_,_)`` and ``encode(into:)-([UInt8])``, a sixth faster for small
    /// events, for servers that pass on what they are given and keep nothing.
    ///
    /// - Parameters:
    ///   - type: The event's type, not empty, without CR and LF; nil for `message`.
    ///   - data: The data; line breaks in it are kept (as line feeds).
    ///   - id: The ID, without CR, LF and NUL; nil for none, and empty to make clients forget the last one.
    ///   - retry: The reconnection time for clients, a whole number of milliseconds from 0 to 2^53 − 1; nil for none.
    ///   - buffer: Where the event is appended.
    /// - Throws: A ``ServerSentEventError`` that says which part cannot be sent, and why; then nothing is appended.
    /// - Complexity: O(*n*) in the size of the event.
    public static func encode(
        type: String? = nil,
        data: String,
        id: String? = nil,
        retry: Duration? = nil,
        into buffer: inout [UInt8]
    ) throws(ServerSentEventError) {
        if retry == nil, SmallEvent.append(type: type, data: data, id: id, to: &buffer) { return }
        let milliseconds = try check(type: type, id: id, retry: retry)
        encodeAny(type: type, data: data, id: id, retry: milliseconds, into: &buffer)
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
        unsafe Self.withFields(
            type: parts.type,
            data: parts.data,
            id: parts.id,
            retry: parts.retry,
            body
        )
    }

    @inline(__always)
    private static func withFields<R>(
        type: String?,
        data: String,
        id: String?,
        retry: Int64,
        _ body: (EncodedFields) -> R
    ) -> R {
        unsafe data.withBytes { unsafe withFields(type: type, data: $0, id: id, retry: retry, body) }
    }

    @inline(__always)
    static func withFields<R>(
        type: String?,
        data: UnsafeRawBufferPointer,
        id: String?,
        retry: Int64,
        _ body: (EncodedFields) -> R
    ) -> R {
        unsafe withOptionalBytes(type) { type in
            unsafe withOptionalBytes(id) { id in
                unsafe body(EncodedFields(type: type, id: id, retry: retry, text: data))
            }
        }
    }

    @inline(__always)
    private static func withOptionalBytes<R>(_ string: String?, _ body: (UnsafeRawBufferPointer?) -> R) -> R {
        guard let string else { return body(nil) }
        return unsafe string.withBytes { unsafe body($0) }
    }
}
