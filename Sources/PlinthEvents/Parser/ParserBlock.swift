// SPDX-License-Identifier: Apache-2.0

/// The block of lines that is being read: what the standard calls the buffers.
///
/// Nothing is copied for an event that came in one piece: the parts point to where they were read.
///
/// Invariant: all pointers are into memory that outlives the value, which exists within one call of `run`: the read, and
/// what the parser kept of earlier reads. An empty part may point anywhere.
@unsafe
@usableFromInline
struct ParserBlock {
    /// Empty for none, as in the standard.
    @usableFromInline var type: UnsafeRawBufferPointer
    @usableFromInline var id: UnsafeRawBufferPointer
    @usableFromInline var lastID: UnsafeRawBufferPointer
    /// The first line of data while there is no second; nil if there is none or they lie in the parser's buffer.
    @usableFromInline var data: UnsafeRawBufferPointer?
    /// There was a valid ID field, whose value is `id`.
    @usableFromInline var hasID: Bool
    /// The retry field in milliseconds; −1 for none.
    @usableFromInline var retry: Int64
    /// Bytes of data, type and ID.
    @usableFromInline var size: Int

    @inlinable
    @inline(__always)
    init(_ parser: borrowing ServerSentEventParser, kept: UnsafeRawBufferPointer) {
        let typeCount = parser.fields.typeCount
        let idCount = parser.fields.idCount
        unsafe type = UnsafeRawBufferPointer(rebasing: kept[..<typeCount])
        unsafe id = UnsafeRawBufferPointer(rebasing: kept[typeCount..<(typeCount + idCount)])
        unsafe lastID = UnsafeRawBufferPointer(rebasing: kept[(typeCount + idCount)...])
        unsafe data = nil
        unsafe hasID = parser.hasID
        unsafe retry = parser.retry
        unsafe size = parser.eventSize
    }
}
