// SPDX-License-Identifier: Apache-2.0

package import Logging
import Synchronization

/// Records log messages.
package final class LogRecord: Sendable {
    package struct Line: Sendable {
        package var level: Logger.Level
        package var message: String
        package var metadata: Logger.Metadata
    }

    private let storage = Mutex<[Line]>([])

    package init() {}

    package var lines: [Line] { storage.withLock { $0 } }

    /// A logger that writes to this record.
    package var logger: Logger {
        var logger = Logger(label: "test") { _ in Handler(record: self) }
        logger.logLevel = .trace
        return logger
    }

    private struct Handler: LogHandler {
        let record: LogRecord
        var metadata: Logger.Metadata = [:]
        var logLevel: Logger.Level = .trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let merged = metadata.merging(event.metadata ?? [:]) { $1 }
            record.storage.withLock {
                $0.append(Line(level: event.level, message: "\(event.message)", metadata: merged))
            }
        }
    }
}
