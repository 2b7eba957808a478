// SPDX-License-Identifier: Apache-2.0

import PlinthStreams
import Testing

@Suite("Chunks")
struct ChunkTests {
    @Test("data is framed in the buffer that it lies in", arguments: [1, 9, 15, 16, 255, 4096, 65_535, 1_000_000])
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

    @Test("nothing is no chunk, which would end the body; a body that is not chunked is as it was")
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
