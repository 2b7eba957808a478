// SPDX-License-Identifier: Apache-2.0

/// The encoded bytes of one event in both forms: as a chunk (RFC 9112, section 7.1), and bare within it.
package struct EventFrame: Sendable {
    package let bytes: [UInt8]
    /// Where the chunk's size begins, after the room that it did not need.
    private let start: UInt8

    /// The event with the chunk's size and line ends.
    package var chunked: Range<Int> { Int(start)..<bytes.count }
    /// The event alone, for a body that is not chunked.
    package var bare: Range<Int> { NewEvent.prefix..<(bytes.count - 2) }

    /// Completes a block with its ID.
    ///
    /// - Parameters:
    ///   - fields: ``NewEvent/prefix`` bytes of room, then lines, each with its end.
    ///   - id: The ID, written as the last line.
    init(fields: consuming [UInt8], id: [UInt8]) {
        var bytes = fields
        // Otherwise an unexpectedly long ID would double the capacity, which history retains.
        bytes.reserveCapacity(bytes.count + id.count + 8)
        bytes.append(contentsOf: [0x69, 0x64, 0x3A, 0x20])
        bytes.append(contentsOf: id)
        bytes.append(0x0A)
        self.init(block: bytes)
    }

    /// Completes the lines of a stored event with their ID, in one allocation and one pass.
    ///
    /// - Parameters:
    ///   - lines: The lines, each with its end.
    ///   - position: The event's position.
    ///   - epochs: Assigns the ID.
    ///   - idLength: Set to the length of the ID.
    init(stored lines: UnsafeRawBufferPointer, _ position: Position, _ epochs: HistoryEpochs, idLength: inout Int) {
        let beginning = epochs.beginning(of: position)
        let (length, start, bytes) = position.number.withDecimalDigits { digits in
            let length = beginning.count + digits.count
            // The field's name before the ID; its line end, the blank line, and the chunk's end behind it.
            let count = NewEvent.prefix + lines.count + 4 + length + 4
            var start = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
                // Invariant: every byte from 0 to `count` is written once, which is the buffer's capacity.
                let raw = UnsafeMutableRawBufferPointer(buffer)
                raw[..<NewEvent.prefix].initializeMemory(as: UInt8.self, repeating: 0)
                var end = NewEvent.prefix
                func write(_ bytes: some Collection<UInt8>) {
                    UnsafeMutableRawBufferPointer(rebasing: raw[end..<(end + bytes.count)]).copyBytes(from: bytes)
                    end += bytes.count
                }
                write(lines)
                write(Self.idField)
                write(beginning)
                write(digits)
                write(Self.blockEnd)
                start = ChunkFraming.writePrefix(of: NewEvent.prefix..<end, in: buffer)
                write(Self.chunkEnd)
                initialized = end
            }
            return (length, start, bytes)
        }
        idLength = length
        self.start = UInt8(truncatingIfNeeded: start)
        self.bytes = bytes
    }

    private static let idField: [UInt8] = [0x69, 0x64, 0x3A, 0x20]
    /// The ID's line end, and the blank line.
    private static let blockEnd: [UInt8] = [0x0A, 0x0A]
    private static let chunkEnd: [UInt8] = [0x0D, 0x0A]

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

    /// A block outside of history, such as a reconnection time.
    ///
    /// - Parameter text: Lines, the last of which is blank.
    package init(text: [UInt8]) {
        self.init(block: [UInt8](repeating: 0, count: NewEvent.prefix) + text.dropLast())
    }

    package func range(isChunked: Bool) -> Range<Int> { isChunked ? chunked : bare }

    /// The range of the ID, `length` bytes long, in the last line; a line end and the blank line follow it.
    func id(length: Int) -> Range<Int> {
        let end = bare.upperBound - 2
        return (end - length)..<end
    }

    /// The same event, with a tab and a topic after its ID.
    ///
    /// - Parameters:
    ///   - topic: The topic.
    ///   - idLength: The length of the ID in bytes.
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
