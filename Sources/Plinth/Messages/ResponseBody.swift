// SPDX-License-Identifier: Apache-2.0

/// The body of a response: bytes, a file, a sequence, a closure that writes, or an event stream.
///
/// All kinds take the same path to the socket: written no faster than the client reads, and ended when it leaves.
public struct ResponseBody: Sendable {
    package enum Storage: Sendable {
        case bytes([UInt8])
        case file(FileBody)
        case writer(length: Int?, @Sendable (BodyWriter) async throws -> Void)
        // Kept apart, so that every response does not have the size of the rarest.
        indirect case eventStream(EventStream)
        indirect case handedOff(any HandedOffBody)
    }

    package let storage: Storage

    /// Whether it was given as a string: what ``Interceptor/htmlBody()`` takes for a page.
    let isString: Bool

    package init(storage: Storage, isString: Bool = false) {
        self.storage = storage
        self.isString = isString
    }

    /// Whether there is not a byte in it, for certain.
    var isEmpty: Bool {
        if case .bytes(let bytes) = storage { bytes.isEmpty } else { false }
    }

    /// Nothing.
    public static let empty = ResponseBody(storage: .bytes([]))

    /// These bytes.
    public static func bytes(_ bytes: [UInt8]) -> ResponseBody {
        ResponseBody(storage: .bytes(bytes))
    }

    /// A string as UTF-8.
    ///
    /// It sets no content type: ``Response/text(_:status:contentType:)`` does.
    public static func string(_ string: String) -> ResponseBody {
        ResponseBody(storage: .bytes(Array(string.utf8)), isString: true)
    }

    /// A file, or a part of it, sent without being loaded whole.
    ///
    /// A path that cannot be opened when the body is due is a 500 that names the path in the log, never in the response.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - range: The bytes to send; all of them unless given. It is cut to the file's size.
    /// - Returns: The body.
    public static func file(path: String, range: Range<Int>? = nil) -> ResponseBody {
        ResponseBody(storage: .file(FileBody(path: path, range: range)))
    }

    /// The pieces of a sequence, one after the other.
    ///
    /// An error that it throws cuts the response off, so that the client does not take it for complete.
    public static func sequence<Pieces: AsyncSequence & Sendable>(_ pieces: Pieces) -> ResponseBody
    where Pieces.Element == [UInt8] {
        writer { writer in
            for try await piece in pieces {
                try await writer.write(piece)
            }
        }
    }

    /// What a closure writes.
    ///
    /// - Parameters:
    ///   - length: The number of bytes, if it is known before. Without it the body is chunked on HTTP/1.1.
    ///   - write: Writes the body. Its task is cancelled when the client leaves. An error cuts the response off.
    /// - Returns: The body.
    public static func writer(
        length: Int? = nil,
        _ write: @escaping @Sendable (BodyWriter) async throws -> Void
    ) -> ResponseBody {
        ResponseBody(storage: .writer(length: length, write))
    }

    /// An event stream.
    ///
    /// ``Response/eventStream(_:headers:)`` adds the header fields it needs.
    public static func eventStream(_ stream: EventStream) -> ResponseBody {
        ResponseBody(storage: .eventStream(stream))
    }

    /// The event stream, if that is what this is.
    public var eventStream: EventStream? {
        if case .eventStream(let stream) = storage { stream } else { nil }
    }

    /// What sends the body, if that is not the connector itself.
    package var handedOff: (any HandedOffBody)? {
        if case .handedOff(let body) = storage { body } else { nil }
    }
}

/// A body that is sent by something other than a connector's own writers, such as the streams of a hub.
///
/// A connector that knows it hands the connection over when it has written the head; any other sends ``eventStream()``.
package protocol HandedOffBody: Sendable {
    /// The same stream, sent by the application.
    func eventStream() -> EventStream
}

extension Response {
    /// The response with a body that the application sends, where something else would have.
    package var sentByApplication: Response {
        guard let body = body.handedOff else { return self }
        var response = self
        response.body = .eventStream(body.eventStream())
        return response
    }
}

extension Chain.Outcome {
    /// The outcome with a body that the application sends, where something else would have.
    package var sentByApplication: Chain.Outcome {
        var outcome = self
        outcome.response = response.sentByApplication
        return outcome
    }
}

/// A file, or a part of one.
package struct FileBody: Sendable {
    package var path: String
    package var range: Range<Int>?
}
