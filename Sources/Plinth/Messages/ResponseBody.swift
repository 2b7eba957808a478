// SPDX-License-Identifier: Apache-2.0

/// The body of a response: bytes, a file, a sequence, a closure that writes, or an event stream.
///
/// Every kind is written no faster than the client reads, and ends when the client leaves.
public struct ResponseBody: Sendable {
    package enum Storage: Sendable {
        case bytes([UInt8])
        case file(FileBody)
        case writer(length: Int?, @Sendable (BodyWriter) async throws -> Void)
        // Indirect, so that the rare cases do not enlarge every response.
        indirect case eventStream(EventStream)
        indirect case handedOff(any HandedOffBody)
    }

    package let storage: Storage

    /// Whether the body was created from a string, which ``Interceptor/htmlBody()`` serves as HTML.
    let isString: Bool

    package init(storage: Storage, isString: Bool = false) {
        self.storage = storage
        self.isString = isString
    }

    /// Whether the body is known to be empty.
    var isEmpty: Bool {
        if case .bytes(let bytes) = storage { bytes.isEmpty } else { false }
    }

    /// An empty body.
    public static let empty = ResponseBody(storage: .bytes([]))

    /// A body of bytes.
    public static func bytes(_ bytes: [UInt8]) -> ResponseBody {
        ResponseBody(storage: .bytes(bytes))
    }

    /// A string, encoded as UTF-8.
    ///
    /// Sets no content type; ``Response/text(_:status:contentType:)`` does.
    public static func string(_ string: String) -> ResponseBody {
        ResponseBody(storage: .bytes(Array(string.utf8)), isString: true)
    }

    /// A file, or a part of it, sent without loading it into memory as a whole.
    ///
    /// If the file cannot be opened, the response is a 500; the log names the path, the response does not.
    ///
    /// - Parameters:
    ///   - path: The file's path.
    ///   - range: The bytes to send, clamped to the file's size. Default: all.
    /// - Returns: The body.
    public static func file(path: String, range: Range<Int>? = nil) -> ResponseBody {
        ResponseBody(storage: .file(FileBody(path: path, range: range)))
    }

    /// The concatenated pieces of a sequence.
    ///
    /// If it throws, the body is left incomplete, and the client detects the truncation.
    public static func sequence<Pieces: AsyncSequence & Sendable>(_ pieces: Pieces) -> ResponseBody
    where Pieces.Element == [UInt8] {
        writer { writer in
            for try await piece in pieces {
                try await writer.write(piece)
            }
        }
    }

    /// A body written by a closure.
    ///
    /// - Parameters:
    ///   - length: The number of bytes, if known in advance. Default: nil, which makes the body chunked on HTTP/1.1.
    ///   - write: Writes the body. Its task is cancelled when the client leaves. If it throws, the body is left
    ///     incomplete.
    /// - Returns: The body.
    public static func writer(
        length: Int? = nil,
        _ write: @escaping @Sendable (BodyWriter) async throws -> Void
    ) -> ResponseBody {
        ResponseBody(storage: .writer(length: length.map { max(0, $0) }, write))
    }

    /// An event stream.
    ///
    /// Sets no header fields; ``Response/eventStream(_:headers:)`` adds those it needs.
    public static func eventStream(_ stream: EventStream) -> ResponseBody {
        ResponseBody(storage: .eventStream(stream))
    }

    /// The event stream; nil for other kinds of bodies.
    public var eventStream: EventStream? {
        if case .eventStream(let stream) = storage { stream } else { nil }
    }

    /// The hand-off body; nil if the connector sends the body itself.
    package var handedOff: (any HandedOffBody)? {
        if case .handedOff(let body) = storage { body } else { nil }
    }
}

/// A file, or a part of one.
package struct FileBody: Sendable {
    package var path: String
    package var range: Range<Int>?
}
