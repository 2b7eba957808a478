// SPDX-License-Identifier: Apache-2.0

/// Standard error for a log whose lines hold what clients send: each a line, and nothing that a terminal would obey.
struct LogLines: TextOutputStream, Sendable {
    /// Writes a line of the log.
    ///
    /// - Parameter string: The whole line, with its line feed, as swift-log's `StreamLogHandler` gives it.
    mutating func write(_ string: String) {
        StandardStreams.complain(string.hasSuffix("\n") ? String(string.dropLast()) : string)
    }
}
