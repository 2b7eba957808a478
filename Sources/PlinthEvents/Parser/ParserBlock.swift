// SPDX-License-Identifier: Apache-2.0

/// The unfinished block of lines: the standard's buffers.
///
/// An event with one line of data that arrives in one read is not copied: its parts point into the read.
///
/// Invariant: all pointers are into memory that outlives the value, which exists within one call of `run`: the read and
/// the bytes that the parser kept from earlier reads. An empty part may point anywhere.
@unsafe
@usableFromInline
struct ParserBlock {
    /// Empty for none.
    @usableFromInline var type: UnsafeRawBufferPointer
    @usableFromInline var id: UnsafeRawBufferPointer
    @usableFromInline var lastID: UnsafeRawBufferPointer
    /// The only line of data so far; nil without data, or if the lines are in the parser's buffer.
    @usableFromInline var data: UnsafeRawBufferPointer?
    /// Whether the block has a valid ID field, whose value is `id`.
    @usableFromInline var hasID: Bool
    /// The retry field in milliseconds; −1 for none.
    @usableFromInline var retry: Int64
    /// The size of data, type and ID in bytes.
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
