// SPDX-License-Identifier: Apache-2.0

/// The result of writing bytes to a connection.
package enum StreamWrite: Sendable, Equatable {
    /// The connection accepted this many bytes; if not all, its buffer is full.
    case took(Int)
    /// The connection has failed and accepts no more bytes.
    case failed(StreamEnd)
}
