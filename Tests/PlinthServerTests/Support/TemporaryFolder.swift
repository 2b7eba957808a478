// SPDX-License-Identifier: Apache-2.0

#if Server

import Foundation

/// A folder for the files of a test run.
final class TemporaryFolder: Sendable {
    static let shared = TemporaryFolder()

    let folder: String

    private init() {
        folder = NSTemporaryDirectory() + "plinth-\(ProcessInfo.processInfo.processIdentifier)"
    }

    /// The path of a file in the folder, which is created if needed.
    func path(_ name: String) throws -> String {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return folder + "/" + name
    }
}

#endif
