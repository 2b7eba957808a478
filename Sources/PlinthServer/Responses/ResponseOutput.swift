// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import NIOHTTP1
import NIOHTTP2
import NIOHTTPTypesHTTP1
import Plinth

/// Plinth's version, not the parser's of the same name.
typealias HTTPVersion = Plinth.HTTPVersion

/// How a response is framed.
struct ResponseFraming: Sendable, Equatable {
    enum Body: Sendable, Equatable {
        /// No body, whatever the header fields announce: `HEAD`, 204, 304.
        case none
        /// A body of this many bytes.
        case length(Int)
        /// Unknown before its end: chunks on HTTP/1.1, the end of the connection on HTTP/1.0, frames on HTTP/2.
        case unknown
    }

    var version: HTTPVersion
    var body: Body
    /// Whether the connection serves other requests after this one.
    var keepsAlive: Bool

    /// Whether the body is sent in chunks (RFC 9112, section 7.1).
    var isChunked: Bool { body == .unknown && version == .http1_1 }
}

extension ResponseFraming {
    /// The framing of an empty write.
    static let empty = ResponseFraming(version: .http1_0, body: .unknown, keepsAlive: false)
}

extension Response {
    /// Whether the status allows no body, whatever the request was (RFC 9110, section 6.4.1).
    var forbidsBody: Bool { status == .noContent || status == .notModified || status.code < 200 }
}

extension ResponseBody {
    /// Whether it is an event stream, an application's or a hub's.
    var isStream: Bool { eventStream != nil || handedOff != nil }
}

/// A body is longer than its `Content-Length`.
struct BodyLengthError: Error, CustomStringConvertible {
    let announced: Int

    var description: String { "the body is longer than the \(announced) bytes announced for it" }
}

/// Encodes a response for a pipeline: as bytes on HTTP/1, as parts on HTTP/2.
///
/// A new version of HTTP conforms here, is set up in ``HTTPServerChannel``, and joins `Way` in `Tests/ContractTests`.
protocol ResponseOutput: SendableMetatype {
    associatedtype Part: Sendable

    /// Whether the channel is a socket's, with a socket's options. That of an HTTP/2 stream traps if asked for one.
    static var isSocket: Bool { get }

    static func head(
        _ response: Response,
        _ framing: ResponseFraming,
        date: String,
        serverName: String?,
        _ allocator: ByteBufferAllocator
    ) -> Part
    static func body(_ bytes: UnsafeRawBufferPointer, _ framing: ResponseFraming, _ allocator: ByteBufferAllocator)
        -> Part
    /// A piece of a body that has its framing.
    static func piece(_ buffer: ByteBuffer) -> Part
    /// The end of the body; nil if nothing is sent.
    static func end(_ framing: ResponseFraming, _ allocator: ByteBufferAllocator) -> Part?
    /// An interim response (RFC 9110, section 15.2.1) that asks for the body.
    static func proceed(_ allocator: ByteBufferAllocator) -> Part
    /// Makes a client stop sending a request that has been answered.
    static func stopUpload(_ channel: any Channel)
}

extension ResponseOutput {
    /// The number of bytes that wait for the socket; on HTTP/2, only whether there are any.
    static func bufferedBytes(_ channel: any Channel) -> Int {
        guard isSocket, let options = channel.syncOptions else { return channel.isWritable ? 0 : 1 }
        return (try? options.getOption(.bufferedWritableBytes)) ?? 0
    }
}

/// HTTP/1.0 and HTTP/1.1, as bytes (RFC 9112).
enum HTTP1Output: ResponseOutput {
    static var isSocket: Bool { true }

    static func head(
        _ response: Response,
        _ framing: ResponseFraming,
        date: String,
        serverName: String?,
        _ allocator: ByteBufferAllocator
    ) -> ByteBuffer {
        var buffer = allocator.buffer(capacity: 512)
        buffer.writeString(framing.version == .http1_0 ? "HTTP/1.0 " : "HTTP/1.1 ")
        buffer.writeString("\(response.status.code) \(response.status.reasonPhrase)\r\n")
        for field in response.headers where isPassedOn(field.name, response, framing) {
            buffer.writeField(field.name.rawName, field.value)
        }
        switch framing.body {
        case .none: break
        case .length(let length): buffer.writeField("Content-Length", "\(length)")
        case .unknown: if framing.isChunked { buffer.writeField("Transfer-Encoding", "chunked") }
        }
        if !framing.keepsAlive {
            buffer.writeField("Connection", "close")
        } else if framing.version == .http1_0 {
            buffer.writeField("Connection", "keep-alive")
        }
        if !response.headers.contains(.date) { buffer.writeField("Date", date) }
        if let serverName, !response.headers.contains(.server) { buffer.writeField("Server", serverName) }
        buffer.writeStaticString("\r\n")
        return buffer
    }

    static func piece(_ buffer: ByteBuffer) -> ByteBuffer { buffer }

    static func body(
        _ bytes: UnsafeRawBufferPointer,
        _ framing: ResponseFraming,
        _ allocator: ByteBufferAllocator
    ) -> ByteBuffer {
        guard framing.isChunked else {
            var buffer = allocator.buffer(capacity: bytes.count)
            buffer.writeBytes(bytes)
            return buffer
        }
        var buffer = allocator.buffer(capacity: bytes.count + 20)
        buffer.writeString(String(bytes.count, radix: 16))
        buffer.writeStaticString("\r\n")
        buffer.writeBytes(bytes)
        buffer.writeStaticString("\r\n")
        return buffer
    }

    static func end(_ framing: ResponseFraming, _ allocator: ByteBufferAllocator) -> ByteBuffer? {
        framing.isChunked ? allocator.buffer(string: "0\r\n\r\n") : nil
    }

    static func proceed(_ allocator: ByteBufferAllocator) -> ByteBuffer {
        allocator.buffer(string: "HTTP/1.1 100 Continue\r\n\r\n")
    }

    static func stopUpload(_ channel: any Channel) {
        // HTTP/1 has no such message; the connection is closed instead.
    }

    /// The connector decides the framing: an application's fields could contradict what is sent.
    ///
    /// Only a response without a body may announce the length of one.
    private static func isPassedOn(_ name: HTTPField.Name, _ response: Response, _ framing: ResponseFraming) -> Bool {
        switch name {
        case .contentLength: framing.body == .none && response.status != .noContent
        case .transferEncoding, .connection: false
        default: true
        }
    }
}

/// HTTP/2, as the parts that its codec takes (RFC 9113, section 8).
enum HTTP2Output: ResponseOutput {
    static var isSocket: Bool { false }

    static func head(
        _ response: Response,
        _ framing: ResponseFraming,
        date: String,
        serverName: String?,
        _ allocator: ByteBufferAllocator
    ) -> HTTPServerResponsePart {
        var fields = HTTPHeaders()
        for field in response.headers {
            switch field.name {
            // HTTP/2 forbids connection-specific fields (RFC 9113, section 8.2.2).
            case .connection, .transferEncoding, HTTP2Output.keepAlive: continue
            case .contentLength where framing.body != .none: continue
            default: fields.add(name: field.name.rawName, value: field.value)
            }
        }
        if case .length(let length) = framing.body { fields.add(name: "content-length", value: "\(length)") }
        if !response.headers.contains(.date) { fields.add(name: "date", value: date) }
        if let serverName, !response.headers.contains(.server) { fields.add(name: "server", value: serverName) }
        let status = HTTPResponseStatus(
            statusCode: response.status.code,
            reasonPhrase: response.status.reasonPhrase
        )
        return .head(HTTPResponseHead(version: .http2, status: status, headers: fields))
    }

    static func piece(_ buffer: ByteBuffer) -> HTTPServerResponsePart { .body(.byteBuffer(buffer)) }

    static func body(
        _ bytes: UnsafeRawBufferPointer,
        _ framing: ResponseFraming,
        _ allocator: ByteBufferAllocator
    ) -> HTTPServerResponsePart {
        var buffer = allocator.buffer(capacity: bytes.count)
        buffer.writeBytes(bytes)
        return .body(.byteBuffer(buffer))
    }

    static func end(_ framing: ResponseFraming, _ allocator: ByteBufferAllocator) -> HTTPServerResponsePart? {
        .end(nil)
    }

    static func proceed(_ allocator: ByteBufferAllocator) -> HTTPServerResponsePart {
        .head(HTTPResponseHead(version: .http2, status: .continue))
    }

    static func stopUpload(_ channel: any Channel) {
        // RFC 9113, section 8.1: only with this code does a client keep the response. Closing the stream's channel would
        // reset the stream with another code.
        let operations = channel.pipeline.syncOperations
        guard let codec = try? operations.context(handlerType: HTTP2FramePayloadToHTTP1ServerCodec.self) else { return }
        codec.writeAndFlush(NIOAny(HTTP2Frame.FramePayload.rstStream(.noError)), promise: nil)
    }

    private static let keepAlive = HTTPField.Name("keep-alive")
}

extension ByteBuffer {
    fileprivate mutating func writeField(_ name: String, _ value: String) {
        writeString(name)
        writeStaticString(": ")
        writeString(value)
        writeStaticString("\r\n")
    }
}

#endif
