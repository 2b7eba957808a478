// SPDX-License-Identifier: Apache-2.0

import Foundation

// Foundation's non-throwing reads trap when a signal interrupts them.
extension Pipe {
    /// Waits for the next output; empty at the end.
    package func nextOutput() -> [UInt8] {
        let descriptor = fileHandleForReading.fileDescriptor
        var bytes = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(descriptor, &bytes, bytes.count)
            if count >= 0 { return Array(bytes[..<count]) }
            guard errno == EINTR else { return [] }
        }
    }

    /// Reads the output to its end.
    package func allOutput() -> [UInt8] {
        var whole: [UInt8] = []
        while case let piece = nextOutput(), !piece.isEmpty { whole += piece }
        return whole
    }
}
