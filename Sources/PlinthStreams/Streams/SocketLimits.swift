// SPDX-License-Identifier: Apache-2.0

/// Limits on a stream's use of kernel memory.
package enum SocketLimits {
    /// The maximum number of unsent bytes in the kernel (`TCP_NOTSENT_LOWAT`).
    ///
    /// Bounds the memory of a stalled reader, and the time of one `send` to a reader that catches up.
    package static let unsent: CInt = 128 * 1024
}
