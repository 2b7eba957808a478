// SPDX-License-Identifier: Apache-2.0

import Foundation

// Foundation's own reading without `throws` traps when a signal interrupts it.
extension Pipe {
    /// What the program has written next, waited for; nothing at the end.
    package func nextOutput() -> [UInt8] {
        let descriptor = fileHandleForReading.fileDescriptor
        var bytes = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(descriptor, &bytes, bytes.count)
            if count >= 0 { return Array(bytes[..<count]) }
            guard errno == EINTR else { return [] }
        }
    }

    /// All that the program writes until its end.
    package func allOutput() -> [UInt8] {
        var whole: [UInt8] = []
        while case let piece = nextOutput(), !piece.isEmpty { whole += piece }
        return whole
    }
}
