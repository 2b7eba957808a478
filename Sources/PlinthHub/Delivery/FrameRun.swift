// SPDX-License-Identifier: Apache-2.0

import PlinthEvents

/// Events that go out in one write, in their order.
///
/// A single one is written from where it lies; several are put together, once for all who get the same.
struct FrameRun {
    private var form = StreamForm(isChunked: true, namesTopic: false)
    private var single: EventFrame?
    /// The last event whose topic was written into a frame of its own: subscribers of one round ask for the same.
    private var named: HistoryEntry?
    private var namedFrame: EventFrame?
    private var bytes: [UInt8] = []
    /// Where each frame ends, and which position it has.
    private var ends: [(end: Int, position: UInt64)] = []

    /// A heartbeat in both forms: an event, or a comment if there is none.
    static func heartbeat(_ event: ServerSentEvent?) -> (chunked: [UInt8], bare: [UInt8]) {
        var chunked: [UInt8] = []
        var chunk = Chunk(in: &chunked, isChunked: true)
        if let event { event.encode(into: &chunked) } else { chunked += Heartbeat.comment }
        let bare = Array(chunked[ChunkFraming.maximumPrefix...])
        _ = chunk.close(&chunked)
        return (Array(chunked[chunk.start...]), bare)
    }

    var frames: Int { ends.count }
    var isEmpty: Bool { ends.isEmpty }
    var count: Int { ends.last?.end ?? 0 }
    var firstPosition: UInt64 { ends.first?.position ?? 0 }
    var lastPosition: UInt64 { ends.last?.position ?? 0 }

    mutating func begin(_ form: StreamForm) {
        self.form = form
        single = nil
        bytes.removeAll(keepingCapacity: bytes.capacity <= 1 << 20)
        ends.removeAll(keepingCapacity: ends.capacity <= 16 * 1024)
    }

    /// Forgets the event whose frame was kept for others who get the same.
    mutating func forget() {
        named = nil
        namedFrame = nil
    }

    mutating func append(_ entry: HistoryEntry) {
        guard form.namesTopic else { return append(entry.frame, position: entry.position.number) }
        if named === entry, let namedFrame { return append(namedFrame, position: entry.position.number) }
        let frame = entry.frameWithTopic
        named = entry
        namedFrame = frame
        append(frame, position: entry.position.number)
    }

    mutating func append(_ frame: EventFrame, position: UInt64) {
        let range = frame.range(isChunked: form.isChunked)
        if ends.isEmpty {
            single = frame
        } else {
            if let first = single {
                bytes.append(contentsOf: first.bytes[first.range(isChunked: form.isChunked)])
                single = nil
            }
            bytes.append(contentsOf: frame.bytes[range])
        }
        ends.append((count + range.count, position))
    }

    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        guard let single else { return bytes.withUnsafeBytes(body) }
        let range = single.range(isChunked: form.isChunked)
        return single.bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    /// What remains for a connection that took only so many bytes.
    ///
    /// - Returns: How many frames were begun; the position up to which nothing is to be read again; and the rest of the
    ///   frame that was begun, if one was.
    func cut(_ taken: Int) -> (frames: Int, position: UInt64, bytes: [UInt8], rest: Range<Int>) {
        var low = 0
        var high = ends.count
        while low < high {
            let middle = (low + high) / 2
            if ends[middle].end > taken { high = middle } else { low = middle + 1 }
        }
        let start = low == 0 ? 0 : ends[low - 1].end
        guard low < ends.count else { return (frames, lastPosition, [], 0..<0) }
        guard taken > start else {
            // Between two frames: what was before the first of this run it has.
            return (low, low == 0 ? max(firstPosition, 1) - 1 : ends[low - 1].position, [], 0..<0)
        }
        let end = ends[low].end
        if let single {
            let range = single.range(isChunked: form.isChunked)
            return (1, ends[low].position, single.bytes, (range.lowerBound + taken)..<range.upperBound)
        }
        // A copy, so that a few bytes do not keep all of the run.
        let rest = Array(bytes[taken..<end])
        return (low + 1, ends[low].position, rest, 0..<rest.count)
    }
}
