// SPDX-License-Identifier: Apache-2.0

/// Writes log entries to standard error as single lines with terminal controls replaced, as they quote client input.
struct LogLines: TextOutputStream, Sendable {
    /// Writes a log entry.
    ///
    /// - Parameter string: The whole line with its line feed, as swift-log's `StreamLogHandler` passes it.
    mutating func write(_ string: String) {
        StandardStreams.complain(string.hasSuffix("\n") ? String(string.dropLast()) : string)
    }
}
