// SPDX-License-Identifier: Apache-2.0

/// Decodes chunks.
struct ChunkDecoder {
    private var bytes: [UInt8] = []

    /// The bodies of the complete chunks.
    mutating func decode(_ new: [UInt8]) throws -> [UInt8] {
        bytes += new
        var body: [UInt8] = []
        var start = 0
        while let end = bytes[start...].firstIndex(of: 0x0A) {
            let line = String(decoding: bytes[start..<end], as: UTF8.self)
            guard line.hasSuffix("\r"), let size = Int(line.dropLast(), radix: 16) else {
                throw Violation(description: "not a chunk: \(line.debugDescription)")
            }
            guard bytes.count >= end + 1 + size + 2 else { break }
            body += bytes[(end + 1)..<(end + 1 + size)]
            guard bytes[end + 1 + size] == 0x0D, bytes[end + 2 + size] == 0x0A else {
                throw Violation(description: "a chunk without its end")
            }
            start = end + 1 + size + 2
        }
        bytes.removeFirst(start)
        return body
    }
}
