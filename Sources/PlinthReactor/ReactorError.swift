// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A reactor that cannot be made, or cannot begin.
package struct ReactorError: Error, Hashable, CustomStringConvertible {
    /// What the system refused.
    package enum Code: Sendable, Hashable {
        /// A descriptor for epoll or for its wake-up.
        case descriptor
        /// A thread.
        case thread
    }

    /// What the system refused.
    package let code: Code
    /// Why: the system's number.
    package let errorNumber: CInt

    package var description: String {
        switch code {
        case .descriptor: "no descriptor for the reactor (errno \(errorNumber))"
        case .thread: "no thread for the reactor (errno \(errorNumber))"
        }
    }
}

#endif
