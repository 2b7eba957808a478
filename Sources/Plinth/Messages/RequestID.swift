// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Generates request IDs for logs.
public enum RequestID {
    private static let counter = Atomic<UInt64>(0)
    /// Random per process, so that the IDs of different processes differ.
    private static let prefix = String(UInt32.random(in: .min ... .max), radix: 36)

    /// Returns an ID that is unique within the process.
    public static func next() -> String {
        prefix + "-" + String(counter.wrappingAdd(1, ordering: .relaxed).newValue, radix: 36)
    }
}
