// SPDX-License-Identifier: Apache-2.0

/// Writes a response body in chunks.
public struct BodyWriter: Sendable {
    private let sink: @Sendable ([UInt8]) async throws -> Void

    package init(_ sink: @escaping @Sendable ([UInt8]) async throws -> Void) {
        self.sink = sink
    }

    /// Writes bytes, and suspends while the client cannot keep up.
    ///
    /// - Throws: `CancellationError` once the client has disconnected.
    public func write(_ bytes: [UInt8]) async throws {
        try await sink(bytes)
    }

    /// Writes a string as UTF-8, and suspends while the client cannot keep up.
    ///
    /// - Throws: `CancellationError` once the client has disconnected.
    public func write(_ string: String) async throws {
        try await sink(Array(string.utf8))
    }
}
