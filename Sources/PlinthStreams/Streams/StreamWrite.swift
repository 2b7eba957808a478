// SPDX-License-Identifier: Apache-2.0

/// What became of bytes for a connection.
package enum StreamWrite: Sendable, Equatable {
    /// The connection took this many of them; if not all, it has no room for now.
    case took(Int)
    /// It will never take any more.
    case failed(StreamEnd)
}
