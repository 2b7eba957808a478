// SPDX-License-Identifier: Apache-2.0

/// An event stream that waits for its connection.
public struct EventStream: Sendable {
    package func abandon() {}
}
