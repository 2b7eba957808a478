// SPDX-License-Identifier: Apache-2.0

/// The body of a request, streamed as it arrives.
///
/// A body is read once, by one task, either chunk by chunk or with ``collect(upTo:)``. The connection is read no faster
/// than the body is consumed. What a handler leaves unread is discarded when the response has ended.
public struct RequestBody: AsyncSequence, Sendable {
    /// A chunk of the body; never empty.
    public typealias Element = [UInt8]

    enum Storage: Sendable {
        case bytes([UInt8])
        case stream(@Sendable () async throws -> [UInt8]?)
    }

    let storage: Storage
    /// The connection that provides the body, if any.
    private let connection: (any RequestBodyConnection)?

    /// An empty body.
    public static let empty = RequestBody(bytes: [])

    /// Creates a body from bytes in memory.
    ///
    /// Unlike a body from a connection, it can be read more than once.
    public init(bytes: [UInt8]) {
        storage = .bytes(bytes)
        connection = nil
    }

    /// Creates a body from a closure that produces its chunks.
    ///
    /// - Parameter next: Returns the next chunk, or nil at the end and from then on. Throws if the client disconnects
    ///   or violates the framing.
    public init(next: @escaping @Sendable () async throws -> [UInt8]?) {
        storage = .stream(next)
        connection = nil
    }

    /// Creates the body of a request on a connection.
    package init(_ connection: any RequestBodyConnection) {
        storage = .stream { try await connection.next() }
        self.connection = connection
    }

    /// Sets how long the client may be silent from now on, as between the events of an uploaded stream.
    ///
    /// - Parameter limit: The longest pause. On shutdown, a pending read then throws ``HTTPError`` with status 503.
    ///   Nil, the initial state: the limit for any body applies, and a shutdown waits for the bytes.
    package func mayPause(for limit: Duration?) {
        connection?.mayPause(for: limit)
    }

    /// Collects the whole body into one array.
    ///
    /// - Parameter limit: The maximum size in bytes.
    /// - Returns: The bytes.
    /// - Throws: ``HTTPError`` with status 413 as soon as the body exceeds `limit`. Rethrows errors of the connection.
    public func collect(upTo limit: Int) async throws -> [UInt8] {
        switch storage {
        case .bytes(let bytes):
            guard bytes.count <= limit else { throw HTTPError.contentTooLarge(limit: limit) }
            return bytes
        case .stream(let next):
            var whole: [UInt8] = []
            while let piece = try await next() {
                guard piece.count <= limit - whole.count else { throw HTTPError.contentTooLarge(limit: limit) }
                if whole.isEmpty { whole = piece } else { whole.append(contentsOf: piece) }
            }
            return whole
        }
    }

    /// Collects the whole body if all of it has arrived, without waiting.
    ///
    /// - Parameter limit: The maximum size in bytes.
    /// - Returns: The bytes; nil if some are still to come, or come from a closure. Then nothing has been read.
    /// - Throws: ``HTTPError`` with status 413 if the body exceeds `limit`. Rethrows errors of the connection.
    public func collectNow(upTo limit: Int) throws -> [UInt8]? {
        let whole: [UInt8]
        switch storage {
        case .bytes(let bytes): whole = bytes
        case .stream:
            guard let rest = try connection?.restNow() else { return nil }
            whole = rest
        }
        guard whole.count <= limit else { throw HTTPError.contentTooLarge(limit: limit) }
        return whole
    }

    /// Iterates over the chunks of a body.
    public struct AsyncIterator: AsyncIteratorProtocol {
        var storage: Storage

        /// Returns the next chunk, or nil at the end.
        ///
        /// - Throws: An error of the connection: the client disconnected, or violated the framing.
        public mutating func next() async throws -> [UInt8]? {
            switch storage {
            case .bytes(let bytes):
                storage = .bytes([])
                return bytes.isEmpty ? nil : bytes
            case .stream(let next):
                return try await next()
            }
        }
    }

    /// Creates an iterator over the chunks.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(storage: storage)
    }
}

/// The connection that provides a request's body.
package protocol RequestBodyConnection: Sendable {
    /// Returns the next chunk, or nil at the end and from then on.
    func next() async throws -> [UInt8]?
    /// Returns the rest of the body if all of it has arrived; nil if not, and then nothing has been read.
    func restNow() throws -> [UInt8]?
    /// Sets how long the client may be silent from now on; nil for the limit of any body.
    func mayPause(for limit: Duration?)
}
