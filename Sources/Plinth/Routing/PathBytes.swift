// SPDX-License-Identifier: Apache-2.0

/// A path or a segment of one, compared byte by byte.
///
/// `String ==` joins canonically equivalent strings, so that "é" in one code point would answer for "é" in two: two
/// different resources to everything else on the way, and a way round rules about one of them.
struct PathBytes: Hashable {
    let bytes: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
    }

    init(_ string: String) {
        self.bytes = Array(string.utf8)[...]
    }

    static func == (lhs: PathBytes, rhs: PathBytes) -> Bool {
        lhs.bytes.elementsEqual(rhs.bytes)
    }

    func hash(into hasher: inout Hasher) {
        // Hashes the bytes at once; the slice's own implementation feeds them one by one.
        bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
    }
}
