// SPDX-License-Identifier: Apache-2.0

/// A path or path segment, compared byte by byte.
///
/// `String ==` treats canonically equivalent strings as equal: "é" as one code point would match "é" as two. Proxies
/// treat these as different resources, so a rule about one could be bypassed.
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
        // Hashes all bytes at once; ArraySlice feeds them to the hasher one by one.
        bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
    }
}
