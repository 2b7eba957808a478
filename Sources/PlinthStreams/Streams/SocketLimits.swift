// SPDX-License-Identifier: Apache-2.0

/// What a stream's socket may cost the kernel.
package enum SocketLimits {
    /// The most bytes that the kernel takes without having sent them (`TCP_NOTSENT_LOWAT`): a stalled reader costs it no
    /// more, and one that catches up does not keep a thread in one `send`.
    package static let unsent: CInt = 128 * 1024
}
