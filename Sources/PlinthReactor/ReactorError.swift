// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Why a reactor could not be created or started.
package struct ReactorError: Error, Hashable, CustomStringConvertible {
    /// What the system refused.
    package enum Code: Sendable, Hashable {
        /// A descriptor for epoll or its eventfd.
        case descriptor
        /// A thread.
        case thread
    }

    /// What the system refused.
    package let code: Code
    /// The system's error number.
    package let errorNumber: CInt

    package var description: String {
        switch code {
        case .descriptor: "no descriptor for the reactor (errno \(errorNumber))"
        case .thread: "no thread for the reactor (errno \(errorNumber))"
        }
    }
}

#endif
