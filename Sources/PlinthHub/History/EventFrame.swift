// SPDX-License-Identifier: Apache-2.0

/// The bytes of one event, ready for the socket in both forms: as a chunk (RFC 9112, section 7.1), and bare within it.
package struct EventFrame: Sendable {
    package let bytes: [UInt8]
    /// The event with its chunk's size and line ends.
    package let chunked: Range<Int>
    /// The event alone, as a body has it that is not chunked.
    package let bare: Range<Int>

    /// Completes a block of fields.
    ///
    /// - Parameters:
    ///   - fields: ``NewEvent/prefix`` bytes of room, then lines, each with its end.
    ///   - id: What becomes the last line.
    init(fields: consuming [UInt8], id: [UInt8]) {
        var bytes = fields
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
        bare = NewEvent.prefix..<bytes.count
        var start = NewEvent.prefix - 2
        bytes[start] = 0x0D
        bytes[start + 1] = 0x0A
        var size = bare.count
        repeat {
            start -= 1
            let digit = UInt8(truncatingIfNeeded: size & 15)
            bytes[start] = digit < 10 ? 0x30 + digit : 0x57 + digit
            size >>= 4
        } while size > 0
        bytes.append(0x0D)
        bytes.append(0x0A)
        chunked = start..<bytes.count
        self.bytes = bytes
    }

    /// A block that stands for no event of history: a gap, a heartbeat, a reconnection time.
    ///
    /// - Parameter text: Lines, the last of which is blank.
    package init(text: [UInt8]) {
        self.init(block: [UInt8](repeating: 0, count: NewEvent.prefix) + text.dropLast())
    }

    package func range(isChunked: Bool) -> Range<Int> { isChunked ? chunked : bare }

    /// The block as it was before its ID, of so many bytes, was written.
    func fields(idLength: Int) -> [UInt8] {
        // The line is `id: `, the ID and its end; the blank line follows.
        Array(bytes[..<(bare.upperBound - idLength - 6)])
    }
}
