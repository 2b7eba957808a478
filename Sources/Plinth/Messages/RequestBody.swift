// SPDX-License-Identifier: Apache-2.0

/// The bytes of a request, as they arrive.
///
/// A body is read once, by one task, either piece by piece or with ``collect(upTo:)``. The connection is read no faster
/// than the body is, and what a handler leaves unread is discarded when the response has ended.
public struct RequestBody: AsyncSequence, Sendable {
    /// A piece of the body; never empty.
    public typealias Element = [UInt8]

    enum Storage: Sendable {
        case bytes([UInt8])
        case stream(@Sendable () async throws -> [UInt8]?)
    }

    let storage: Storage
    /// The connection's side, nil where there is none.
    private let connection: (any RequestBodyConnection)?

    /// A body with nothing in it.
    public static let empty = RequestBody(bytes: [])

    /// A body that is already here.
    ///
    /// Unlike one from a connection it can be read again.
    public init(bytes: [UInt8]) {
        storage = .bytes(bytes)
        connection = nil
    }

    /// A body from whatever yields its pieces.
    ///
    /// - Parameter next: Gives the next piece, nil at the end, and nil again after that. It throws if the client leaves
    ///   or breaks the framing.
    public init(next: @escaping @Sendable () async throws -> [UInt8]?) {
        storage = .stream(next)
        connection = nil
    }

    /// The body of a request on a connection.
    package init(_ connection: any RequestBodyConnection) {
        storage = .stream { try await connection.next() }
        self.connection = connection
    }

    /// Says whether the client may be silent now, as between the events of a stream that it uploads.
    ///
    /// - Parameter limit: How long it may be; a shutdown ends the wait, and the read then throws an ``HTTPError`` with status
    ///   503. Nil, as at the beginning: no longer than in any body, and a shutdown waits for the bytes.
    package func mayPause(for limit: Duration?) {
        connection?.mayPause(for: limit)
    }

    /// The whole body in one array.
    ///
    /// - Parameter limit: The most bytes to accept.
    /// - Returns: The bytes.
    /// - Throws: ``HTTPError`` with status 413 as soon as the body is longer than `limit`; what the connection throws.
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

    /// Reads the pieces of a body.
    public struct AsyncIterator: AsyncIteratorProtocol {
        var storage: Storage

        /// The next piece, nil at the end.
        ///
        /// - Throws: What the connection throws: the client left, or broke the framing.
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

    /// An iterator over the pieces.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(storage: storage)
    }
}

/// The connection that a request's body arrives on.
package protocol RequestBodyConnection: Sendable {
    /// The next bytes; nil at the end, and nil again after that.
    func next() async throws -> [UInt8]?
    /// How long the client may be silent from now on; nil for as long as in any body.
    func mayPause(for limit: Duration?)
}
