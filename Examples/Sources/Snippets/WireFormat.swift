// SPDX-License-Identifier: Apache-2.0

// The code of the article "PlinthEvents".

import PlinthEvents

func encode(_ n: Int) -> [UInt8] {
    var buffer: [UInt8] = []
    ServerSentEvent(type: "counter", data: "\(n)").encode(into: &buffer)
    return buffer
}

func parse(_ body: AsyncThrowingStream<[UInt8], any Error>) async throws {
    var parser = ServerSentEventParser()
    for try await chunk in body {
        try parser.parse(chunk) { event in print(event.type ?? "message", event.data) }
    }
}
