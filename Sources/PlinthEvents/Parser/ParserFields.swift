// SPDX-License-Identifier: Apache-2.0

/// The type and ID of an unfinished event and the last event ID, concatenated.
///
/// One buffer, because they are borrowed together during a read. At its end, changed values are written to `spare`,
/// while the old ones are still borrowed, and the two are swapped without allocating.
@usableFromInline
struct ParserFields: Sendable {
    @usableFromInline var buffer = ParserBuffer()
    @usableFromInline private(set) var typeCount = 0
    @usableFromInline private(set) var idCount = 0
    private var spare = ParserBuffer()

    init(lastEventID: String) {
        unsafe lastEventID.withBytes { unsafe buffer.append($0, limit: .max) }
    }

    var isLarge: Bool { buffer.isLarge || spare.isLarge }

    var lastEventID: String {
        unsafe String(decoding: buffer.bytes[(typeCount + idCount)...], as: UTF8.self)
    }

    /// Whether the parts of `block` still point to these.
    func isUnchanged(in block: ParserBlock, _ kept: UnsafeRawBufferPointer) -> Bool {
        unsafe block.type.count == typeCount && block.id.count == idCount
            && block.type.count + block.id.count + block.lastID.count == kept.count
            && Self.isWithin(block.type, kept) && Self.isWithin(block.id, kept) && Self.isWithin(block.lastID, kept)
    }

    private static func isWithin(_ part: UnsafeRawBufferPointer, _ whole: UnsafeRawBufferPointer) -> Bool {
        if unsafe part.isEmpty { return true }
        guard let start = part.baseAddress, let base = whole.baseAddress else { return false }
        return unsafe start >= base && start + part.count <= base + whole.count
    }

    mutating func setSpare(type: UnsafeRawBufferPointer, id: UnsafeRawBufferPointer, lastID: UnsafeRawBufferPointer) {
        spare.clear()
        unsafe spare.append(type, limit: .max)
        unsafe spare.append(id, limit: .max)
        unsafe spare.append(lastID, limit: .max)
        typeCount = type.count
        idCount = id.count
    }

    mutating func takeSpare() {
        swap(&buffer, &spare)
        spare.clear()
    }

    mutating func trim() {
        buffer.trim()
        spare.trim()
    }
}
