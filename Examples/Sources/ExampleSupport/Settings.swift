// SPDX-License-Identifier: Apache-2.0

import Foundation

/// An example's settings, from its command line (`--port 8080`) or its environment (`PORT=8080`).
public struct Settings: Sendable {
    private let arguments: [String]
    private let environment: [String: String]

    /// The settings of this process.
    public init() {
        arguments = Array(CommandLine.arguments.dropFirst())
        environment = ProcessInfo.processInfo.environment
    }

    /// The value of a setting.
    ///
    /// The command line takes precedence over the environment.
    public subscript(name: String) -> String? {
        if let option = arguments.firstIndex(of: "--\(name)"), option + 1 < arguments.count {
            return arguments[option + 1]
        }
        return environment[name.uppercased().replacingOccurrences(of: "-", with: "_")]
    }

    /// The value of a setting in whole milliseconds.
    public func milliseconds(_ name: String, default value: Int) -> Duration {
        .milliseconds(self[name].flatMap { Int($0) } ?? value)
    }
}
