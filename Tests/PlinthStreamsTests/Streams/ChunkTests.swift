// SPDX-License-Identifier: Apache-2.0

import PlinthStreams
import Testing

@Suite("Chunks")
struct ChunkTests {
    @Test("Data is framed in place", arguments: [1, 9, 15, 16, 255, 4096, 65_535, 1_000_000])
    func framed(size: Int) {
        var buffer = Array("before".utf8)
        var chunk = Chunk(in: &buffer, isChunked: true)
        buffer += [UInt8](repeating: 65, count: size)
        let isClosed = chunk.close(&buffer)
        #expect(isClosed)
        let text = String(decoding: buffer[chunk.start...], as: UTF8.self)
        #expect(text == "\(String(size, radix: 16))\r\n" + String(repeating: "A", count: size) + "\r\n")
        #expect(buffer.starts(with: "before".utf8))
    }

    @Test("Empty data is not framed, as an empty chunk would end the body; an unchunked body is unchanged")
    func bare() {
        var buffer: [UInt8] = []
        var empty = Chunk(in: &buffer, isChunked: true)
        let isChunk = empty.close(&buffer)
        #expect(!isChunk)
        buffer = Array("ab".utf8)
        var chunk = Chunk(in: &buffer, isChunked: false)
        let isAny = chunk.close(&buffer)
        #expect(!isAny)
        buffer += Array("c".utf8)
        let isClosed = chunk.close(&buffer)
        #expect(isClosed)
        #expect(Array(buffer[chunk.start...]) == Array("c".utf8))
    }
}
