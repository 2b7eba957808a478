// SPDX-License-Identifier: Apache-2.0

/// The framing of a chunked body (RFC 9112, section 7.1).
package enum ChunkFraming {
    /// The last chunk of a body without trailers.
    package static let lastChunk = Array("0\r\n\r\n".utf8)
    /// The maximum number of bytes before a chunk's data: 16 digits and a line end.
    package static let maximumPrefix = 18

    /// Writes a chunk's size and line end before its data.
    ///
    /// - Parameters:
    ///   - data: The range of the data: not empty, because an empty chunk would end the body.
    ///   - buffer: Has at least ``maximumPrefix`` bytes of room before the data. The caller appends the final line end.
    /// - Returns: The index at which the chunk begins.
    package static func writePrefix(of data: Range<Int>, in buffer: inout [UInt8]) -> Int {
        buffer.withUnsafeMutableBufferPointer { writePrefix(of: data, in: $0) }
    }

    /// As ``writePrefix(of:in:)``, in memory of which the bytes before the data need not be initialized.
    package static func writePrefix(of data: Range<Int>, in buffer: UnsafeMutableBufferPointer<UInt8>) -> Int {
        var start = data.lowerBound - 2
        buffer[start] = 0x0D
        buffer[start + 1] = 0x0A
        var size = data.count
        repeat {
            start -= 1
            let digit = UInt8(truncatingIfNeeded: size & 15)
            buffer[start] = digit < 10 ? 0x30 + digit : 0x57 + digit
            size >>= 4
        } while size > 0
        return start
    }
}

/// A chunk, framed in place around its data.
package struct Chunk {
    /// The index at which the framed bytes begin.
    package private(set) var start: Int
    private let data: Int
    private let isChunked: Bool

    /// Begins a chunk at the end of the buffer; the caller then appends the data.
    ///
    /// - Parameters:
    ///   - buffer: The buffer.
    ///   - isChunked: Whether the body is chunked; if not, adds no framing.
    package init(in buffer: inout [UInt8], isChunked: Bool) {
        start = buffer.count
        self.isChunked = isChunked
        if isChunked { buffer.append(contentsOf: repeatElement(0, count: ChunkFraming.maximumPrefix)) }
        data = buffer.count
    }

    /// Writes the framing around the data.
    ///
    /// - Parameter buffer: The buffer.
    /// - Returns: Whether there is data to send, from ``start`` on.
    package mutating func close(_ buffer: inout [UInt8]) -> Bool {
        guard buffer.count > data else { return false }
        guard isChunked else { return true }
        start = ChunkFraming.writePrefix(of: data..<buffer.count, in: &buffer)
        buffer.append(0x0D)
        buffer.append(0x0A)
        return true
    }
}
