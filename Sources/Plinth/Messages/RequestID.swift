// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Makes the IDs that tell requests apart in logs.
public enum RequestID {
    private static let counter = Atomic<UInt64>(0)
    /// Tells processes apart: two that started in the same second do not count the same.
    private static let prefix = String(UInt32.random(in: .min ... .max), radix: 36)

    /// An ID that this process has not given before.
    public static func next() -> String {
        prefix + "-" + String(counter.wrappingAdd(1, ordering: .relaxed).newValue, radix: 36)
    }
}
