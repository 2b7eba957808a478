// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Executables that SwiftPM builds next to the tests.
package enum Product {
    package struct Missing: Error, CustomStringConvertible {
        package let description: String
    }

    package static func path(_ name: String) throws -> String {
        let folders =
            [Bundle.main.bundleURL, Bundle.main.executableURL?.deletingLastPathComponent()].compactMap { $0 }
            + Bundle.allBundles.map { $0.bundleURL.deletingLastPathComponent() }
            + [URL(fileURLWithPath: CommandLine.arguments.first ?? "/").deletingLastPathComponent()]
        for folder in folders {
            let path = folder.appendingPathComponent(name).path
            if FileManager.default.isExecutableFile(atPath: path) { return path }
        }
        throw Missing(description: "\(name) is not next to the tests: \(folders.map(\.path))")
    }
}
