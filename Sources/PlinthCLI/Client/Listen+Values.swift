// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import ArgumentParser
import Foundation
import PlinthClient

/// The values of the options of `listen`.
extension Listen {
    /// Parses `404` or `400-499`.
    static func statuses(_ text: String) throws -> ClosedRange<Int> {
        let bounds = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map { Int($0) }
        guard let first = bounds.first ?? nil, let last = bounds.last ?? nil, 400 <= first, first <= last, last <= 599
        else { throw ValidationError("--retry-status must be a status from 400 to 599 or a range: \(text)") }
        return first...last
    }

    /// Parses `TYPE`, `type=TYPE` or `data=TEXT`.
    static func terminator(_ text: String) throws -> EventTerminator {
        if text.hasPrefix("data=") { return .data(String(text.dropFirst("data=".count))) }
        let type = text.hasPrefix("type=") ? String(text.dropFirst("type=".count)) : text
        guard !type.isEmpty else { throw ValidationError("--until must be an event type or data=TEXT.") }
        return .type(type)
    }

    /// Maximum bytes of a request body.
    private static let maximumBodySize = 16 << 20

    /// Reads the body that `TEXT`, `@FILE` or `-` selects.
    static func body(_ text: String) throws -> [UInt8] {
        var bytes: [UInt8] = []
        if text == "-" || text == "@-" {
            while case let more = try StandardStreams.read(64 * 1024), !more.isEmpty, bytes.count <= maximumBodySize {
                bytes += more
            }
        } else if text.hasPrefix("@") {
            let path = String(text.dropFirst())
            do {
                let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
                defer { try? file.close() }
                // Bounded, as the path may name an endless device.
                bytes = Array(try file.read(upToCount: maximumBodySize + 1) ?? Data())
            } catch {
                throw ValidationError("--data: cannot read the file \(path): \(error.localizedDescription)")
            }
        } else {
            bytes = Array(text.utf8)
        }
        guard bytes.count <= maximumBodySize else {
            throw ValidationError("--data is larger than \(maximumBodySize) bytes.")
        }
        return bytes
    }
}
#endif
