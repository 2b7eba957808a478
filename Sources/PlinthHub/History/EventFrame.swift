// SPDX-License-Identifier: Apache-2.0

/// The bytes of one event, ready for the socket in both forms: as a chunk (RFC 9112, section 7.1), and bare within it.
package struct EventFrame: Sendable {
    package let bytes: [UInt8]
    /// Where the chunk's size begins, behind room that it did not need.
    private let start: UInt8

    /// The event with its chunk's size and line ends.
    package var chunked: Range<Int> { Int(start)..<bytes.count }
    /// The event alone, as a body has it that is not chunked.
    package var bare: Range<Int> { NewEvent.prefix..<(bytes.count - 2) }

    /// Completes a block of fields.
    ///
    /// - Parameters:
    ///   - fields: ``NewEvent/prefix`` bytes of room, then lines, each with its end.
    ///   - id: What becomes the last line.
    init(fields: consuming [UInt8], id: [UInt8]) {
        var bytes = fields
        // Otherwise an ID that is longer than expected would double the room, and history keeps all of it.
        bytes.reserveCapacity(bytes.count + id.count + 8)
        bytes.append(contentsOf: [0x69, 0x64, 0x3A, 0x20])
        bytes.append(contentsOf: id)
        bytes.append(0x0A)
        self.init(block: bytes)
    }

    /// Completes a block.
    ///
    /// - Parameter block: ``NewEvent/prefix`` bytes of room, then lines, each with its end; the blank one is added.
    package init(block: consuming [UInt8]) {
        var bytes = block
        bytes.append(0x0A)
        let start = ChunkFraming.writePrefix(of: NewEvent.prefix..<bytes.count, in: &bytes)
        bytes.append(0x0D)
        bytes.append(0x0A)
        self.start = UInt8(truncatingIfNeeded: start)
        self.bytes = bytes
    }

    /// A block that stands for no event of history: a gap, a heartbeat, a reconnection time.
    ///
    /// - Parameter text: Lines, the last of which is blank.
    package init(text: [UInt8]) {
        self.init(block: [UInt8](repeating: 0, count: NewEvent.prefix) + text.dropLast())
    }

    package func range(isChunked: Bool) -> Range<Int> { isChunked ? chunked : bare }

    /// Where the ID, of this many bytes, stands in the last line; a line end and the blank line follow.
    func id(length: Int) -> Range<Int> {
        let end = bare.upperBound - 2
        return (end - length)..<end
    }

    /// The same event, with a tab and a topic behind its ID.
    ///
    /// - Parameters:
    ///   - topic: The topic.
    ///   - idLength: The bytes of the ID.
    /// - Returns: The frame.
    func naming(_ topic: Topic, idLength: Int) -> EventFrame {
        let end = id(length: idLength).upperBound
        var block: [UInt8] = []
        block.reserveCapacity(bytes.count + 1 + topic.utf8.count)
        block.append(contentsOf: bytes[..<end])
        block.append(0x09)
        block.append(contentsOf: topic.utf8)
        block.append(0x0A)
        return EventFrame(block: block)
    }
}
