// SPDX-License-Identifier: Apache-2.0

import PlinthEvents

/// The events of one write, in order.
///
/// A single event is written from its frame; several are copied together, once for all subscribers that receive the
/// same.
struct FrameRun {
    private var form = StreamForm(isChunked: true, namesTopic: false)
    private var single: EventFrame?
    /// The last event whose frame with a topic was encoded: subscribers of one round share it.
    private var named: (entry: HistoryEntry, topic: Topic)?
    private var namedFrame: EventFrame?
    private var bytes: [UInt8] = []
    /// The end and position of each frame.
    private var ends: [(end: Int, position: UInt64)] = []

    /// A heartbeat in both forms: the event, or a comment if nil.
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

    /// Drops the frame that subscribers of one round share.
    mutating func forget() {
        named = nil
        namedFrame = nil
    }

    /// Appends an event.
    ///
    /// - Parameters:
    ///   - entry: The event.
    ///   - selection: What the subscribers receive, if the form names topics.
    mutating func append(_ entry: HistoryEntry, for selection: Selection?) {
        guard form.namesTopic else { return append(entry.frame, position: entry.position.number) }
        let topic = selection.map(entry.topic) ?? entry.topics[0]
        if let named, named.entry === entry, named.topic == topic, let namedFrame {
            return append(namedFrame, position: entry.position.number)
        }
        let frame = entry.frame(naming: topic)
        named = (entry, topic)
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

    /// What remains for a connection that took only the first `taken` bytes.
    ///
    /// - Returns: The number of frames begun; the position after which to read again; and the rest of the last frame
    ///   begun, if any.
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
            // Between two frames. Before the first one, the subscriber has everything up to this run.
            return (low, low == 0 ? max(firstPosition, 1) - 1 : ends[low - 1].position, [], 0..<0)
        }
        let end = ends[low].end
        if let single {
            let range = single.range(isChunked: form.isChunked)
            return (1, ends[low].position, single.bytes, (range.lowerBound + taken)..<range.upperBound)
        }
        // Copied, so that a few bytes do not retain the whole run.
        let rest = Array(bytes[taken..<end])
        return (low + 1, ends[low].position, rest, 0..<rest.count)
    }
}
