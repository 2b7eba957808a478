// SPDX-License-Identifier: Apache-2.0

extension ServerSentEvent {
    /// The exact size of the encoded event in bytes.
    ///
    /// - Complexity: O(*n*) in the size of the event.
    public var encodedByteCount: Int {
        unsafe withFields { fields in unsafe fields.byteCount }
    }

    /// Appends the encoded event to an array.
    ///
    /// Allocates only to grow the array. An array that is reused with its capacity kept soon stops growing.
    ///
    /// - Parameter buffer: The array to append to.
    /// - Complexity: O(*n*) in the size of the event.
    @inlinable
    public func encode(into buffer: inout [UInt8]) {
        // Passes the parts, so that an event built only to be encoded is never assembled.
        let parts = parts
        if parts.retry < 0, buffer.appendTypicalEvent(checkedType: parts.type, data: parts.data, checkedID: parts.id) {
            return
        }
        buffer.appendAnyEvent(checkedType: parts.type, data: parts.data, checkedID: parts.id, retry: parts.retry)
    }

    /// Appends an encoded event without building it, from strings that are only known at run time.
    ///
    /// Equivalent to ``init(type:data:id:retry:)-(String?,_,_,_)`` and ``encode(into:)-([UInt8])``, but a sixth faster
    /// for small events. For servers that forward events and keep none.
    ///
    /// - Parameters:
    ///   - type: The event's type: not empty, without CR or LF. Default: nil, for `message`.
    ///   - data: The data. Its line breaks are sent as line feeds.
    ///   - id: The ID, without CR, LF or NUL; empty resets the client's last event ID. Default: nil, for none.
    ///   - retry: The reconnection time for clients: a whole number of milliseconds from 0 to 2^53 − 1. Default: nil,
    ///     for none.
    ///   - buffer: The array to append to.
    /// - Throws: ``ServerSentEventError`` if a part cannot be sent; its message names the part and the reason. Then
    ///   nothing is appended.
    /// - Complexity: O(*n*) in the size of the event.
    @inlinable
    public static func encode(
        type: String? = nil,
        data: String,
        id: String? = nil,
        retry: Duration? = nil,
        into buffer: inout [UInt8]
    ) throws(ServerSentEventError) {
        if retry == nil, buffer.appendTypicalEvent(type: type, data: data, id: id) { return }
        let milliseconds = try check(type: type, id: id, retry: retry)
        buffer.appendAnyEvent(checkedType: type, data: data, checkedID: id, retry: milliseconds)
    }

    /// Appends the encoded event to any byte collection, with a few appends per line.
    ///
    /// - Parameter buffer: The collection to append to.
    /// - Complexity: O(*n*) in the size of the event.
    @inlinable
    public func encode(into buffer: inout some RangeReplaceableCollection<UInt8>) {
        unsafe encodePieces { piece in unsafe buffer.append(contentsOf: piece) }
    }

    /// Writes the encoded event into memory, which may be uninitialized.
    ///
    /// For buffers that expose their free space, such as SwiftNIO's:
    ///
    /// ```swift
    /// buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: event.encodedByteCount) { event.encode(into: $0) }
    /// ```
    ///
    /// - Parameter memory: At least ``encodedByteCount`` bytes. Less is a precondition failure; nothing is written past
    ///   the end.
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
    static func withFields<R>(
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

// Methods of the array rather than static ones, which would be called through a thunk that drops the metatype.
extension [UInt8] {
    /// Appends an event and returns true; appends nothing and returns false if it is not typical.
    @usableFromInline
    @inline(never)
    mutating func appendTypicalEvent(checkedType type: String?, data: String, checkedID id: String?) -> Bool {
        TypicalEvent.append(type: type, data: data, id: id, isChecked: true, to: &self)
    }

    /// Appends an event and returns true; appends nothing and returns false if it is not typical or may be invalid.
    @usableFromInline
    @inline(never)
    mutating func appendTypicalEvent(type: String?, data: String, id: String?) -> Bool {
        TypicalEvent.append(type: type, data: data, id: id, isChecked: false, to: &self)
    }

    /// Appends an event of any size whose parts are validated.
    @usableFromInline
    @inline(never)
    mutating func appendAnyEvent(checkedType type: String?, data: String, checkedID id: String?, retry: Int64) {
        unsafe ServerSentEvent.withFields(type: type, data: data, id: id, retry: retry) { unsafe $0.append(to: &self) }
    }
}
