// SPDX-License-Identifier: Apache-2.0

/// A block of an event stream: an event, a comment, a reconnection time, or an ID.
///
/// Besides events, a stream contains comments, which clients ignore and which keep idle connections open, and blocks
/// that only set the client's reconnection time or last event ID:
///
/// ```swift
/// EventStreamBlock.comment("").encode(into: &buffer)                  // a heartbeat
/// EventStreamBlock.retry(.seconds(5)).encode(into: &buffer)
/// EventStreamBlock.lastEventID("1042").encode(into: &buffer)          // moves the resume point, no event
/// ```
///
/// Blocks can be written in any order: a comment ends with its line, every other block with a blank line. (A blank line
/// after a comment means nothing by the standard, but some clients report an empty event.)
public struct EventStreamBlock: Sendable, Hashable {
    private enum Content: Hashable {
        case event(ServerSentEvent)
        case comment(String)
        case retry(Int64)
        case id(ServerSentEvent.ID)
    }

    private let content: Content

    /// An event.
    ///
    /// - Parameter event: The event.
    /// - Returns: The block.
    public static func event(_ event: ServerSentEvent) -> Self {
        Self(content: .event(event))
    }

    /// A comment: each line of the text becomes a comment line, so it cannot inject fields.
    ///
    /// - Parameter text: The text after the colon. No space is added.
    /// - Returns: The block.
    public static func comment(_ text: String) -> Self {
        Self(content: .comment(text))
    }

    /// A reconnection time without an event.
    ///
    /// - Parameter time: How long clients wait before they reconnect.
    /// - Returns: The block.
    /// - Throws: ``ServerSentEventError`` unless `time` is a whole number of milliseconds from 0 to 2^53 − 1.
    public static func retry(_ time: Duration) throws(ServerSentEventError) -> Self {
        guard let milliseconds = ServerSentEvent.milliseconds(time) else { throw .retry(time) }
        return Self(content: .retry(milliseconds))
    }

    /// An ID without an event: clients dispatch nothing, and resume after it when they reconnect.
    ///
    /// - Parameter id: The ID; empty resets the client's last event ID.
    /// - Returns: The block.
    public static func lastEventID(_ id: ServerSentEvent.ID) -> Self {
        Self(content: .id(id))
    }

    /// The exact size of the encoded block in bytes.
    public var encodedByteCount: Int {
        unsafe withFields { fields in unsafe fields.byteCount }
    }

    /// Appends the encoded block to an array.
    ///
    /// - Parameter buffer: The array to append to.
    public func encode(into buffer: inout [UInt8]) {
        if case .event(let event) = content { return event.encode(into: &buffer) }
        unsafe withFields { fields in unsafe fields.append(to: &buffer) }
    }

    /// Appends the encoded block to any byte collection.
    ///
    /// - Parameter buffer: The collection to append to.
    @inlinable
    public func encode(into buffer: inout some RangeReplaceableCollection<UInt8>) {
        unsafe encodePieces { piece in unsafe buffer.append(contentsOf: piece) }
    }

    /// Writes the encoded block into memory, which may be uninitialized.
    ///
    /// - Parameter memory: At least ``encodedByteCount`` bytes; less is a precondition failure.
    /// - Returns: The number of bytes written, from the start.
    public func encode(into memory: UnsafeMutableRawBufferPointer) -> Int {
        unsafe withFields { fields in unsafe fields.write(into: memory) }
    }

    @usableFromInline
    func encodePieces(_ append: (UnsafeRawBufferPointer) -> Void) {
        unsafe withFields { fields in unsafe fields.writePieces(append) }
    }

    private func withFields<R>(_ body: (EncodedFields) -> R) -> R {
        switch content {
        case .event(let event): unsafe event.withFields(body)
        case .comment(let text): unsafe text.withBytes { unsafe body(EncodedFields(text: $0, prefix: .comment)) }
        case .retry(let milliseconds): unsafe body(EncodedFields(retry: milliseconds))
        case .id(let id): unsafe id.rawValue.withBytes { unsafe body(EncodedFields(id: $0)) }
        }
    }
}
