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

/// How responses are encoded for a pipeline: as bytes on HTTP/1, as parts on HTTP/2.
///
/// A new version of HTTP is a case here, is set up in ``HTTPServerChannel``, and joins `Way` in `Tests/ContractTests`.
enum ResponseOutput: Sendable {
    case http1
    case http2

    /// Whether the channel is a socket's, with a socket's options.
    ///
    /// That of an HTTP/2 stream traps if asked for one.
    var isSocket: Bool { self == .http1 }

    /// The number of bytes that wait for the socket; on HTTP/2, only whether there are any.
    func bufferedBytes(_ channel: any Channel) -> Int {
        guard isSocket, let options = channel.syncOptions else { return channel.isWritable ? 0 : 1 }
        return (try? options.getOption(.bufferedWritableBytes)) ?? 0
    }

    /// Bytes of a body that have its framing.
    func piece(_ buffer: ByteBuffer) -> NIOAny {
        switch self {
        case .http1: NIOAny(buffer)
        case .http2: NIOAny(HTTP2Output.body(buffer))
        }
    }

    /// The end of the body; an empty write if nothing is sent.
    func end(_ framing: ResponseFraming) -> NIOAny {
        switch self {
        case .http1: NIOAny(framing.isChunked ? ByteBuffer(staticString: HTTP1Output.lastChunk) : ByteBuffer())
        case .http2: NIOAny(HTTP2Output.end)
        }
    }
}

/// HTTP/1.0 and HTTP/1.1, as bytes (RFC 9112).
enum HTTP1Output {
    static let proceed: StaticString = "HTTP/1.1 100 Continue\r\n\r\n"
    static let lastChunk: StaticString = "0\r\n\r\n"

    /// Appends the head of a response.
    static func writeHead(
        _ response: Response,
        _ framing: ResponseFraming,
        date: String,
        serverName: String?,
        to buffer: inout ByteBuffer
    ) {
        let reason = response.status.reasonPhrase
        var size = 160 + reason.utf8.count + date.utf8.count + (serverName?.utf8.count ?? 0)
        for field in response.headers { size += field.name.rawName.utf8.count + field.value.utf8.count + 4 }
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { memory in
            var head = HeadWriter(memory)
            head.append(framing.version == .http1_0 ? "HTTP/1.0 " : "HTTP/1.1 ")
            head.append(response.status.code)
            head.append(" ")
            head.append(reason)
            head.append("\r\n")
            var hasDate = false
            var hasServer = false
            for field in response.headers where isPassedOn(field.name, response, framing) {
                head.append(field.name.rawName, field.value)
                switch field.name.rawName.utf8.count {
                case 4: hasDate = hasDate || field.name == .date
                case 6: hasServer = hasServer || field.name == .server
                default: break
                }
            }
            switch framing.body {
            case .none: break
            case .length(let length):
                head.append("Content-Length: ")
                head.append(length)
                head.append("\r\n")
            case .unknown: if framing.isChunked { head.append("Transfer-Encoding: chunked\r\n") }
            }
            if !framing.keepsAlive {
                head.append("Connection: close\r\n")
            } else if framing.version == .http1_0 {
                head.append("Connection: keep-alive\r\n")
            }
            if !hasDate { head.append("Date", date) }
            if let serverName, !hasServer { head.append("Server", serverName) }
            head.append("\r\n")
            return head.count
        }
    }

    /// Appends a piece of a body.
    static func writeBody(_ bytes: [UInt8], _ framing: ResponseFraming, to buffer: inout ByteBuffer) {
        guard framing.isChunked else {
            buffer.writeBytes(bytes)
            return
        }
        buffer.writeString(String(bytes.count, radix: 16))
        buffer.writeStaticString("\r\n")
        buffer.writeBytes(bytes)
        buffer.writeStaticString("\r\n")
    }

    /// The connector decides the framing: an application's fields could contradict what is sent.
    ///
    /// Only a response without a body may announce the length of one.
    private static func isPassedOn(_ name: HTTPField.Name, _ response: Response, _ framing: ResponseFraming) -> Bool {
        // The lengths of these names; comparing those costs less than comparing the names.
        switch name.rawName.utf8.count {
        case 14 where name == .contentLength: framing.body == .none && response.status != .noContent
        case 17 where name == .transferEncoding: false
        case 10 where name == .connection: false
        default: true
        }
    }
}

/// Writes the head of a response into memory.
///
/// The memory has room for everything that is appended: what no longer fits is left out, and would be a fault of
/// ``HTTP1Output/writeHead(_:_:date:serverName:to:)``, which computes the size.
private struct HeadWriter {
    private let memory: UnsafeMutableRawBufferPointer
    private(set) var count = 0

    init(_ memory: UnsafeMutableRawBufferPointer) {
        self.memory = memory
    }

    mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    /// A field line (RFC 9112, section 5).
    mutating func append(_ name: String, _ value: String) {
        append(name)
        append(": ")
        append(value)
        append("\r\n")
    }

    /// A number that is not negative.
    mutating func append(_ number: Int) {
        withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { digits in
            var start = digits.count
            var rest = number.magnitude
            repeat {
                start -= 1
                digits[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            } while rest > 0
            append(UnsafeRawBufferPointer(rebasing: digits[start...]))
        }
    }

    private mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, let target = memory.baseAddress, bytes.count <= memory.count - count
        else { return assert(bytes.isEmpty, "the size of a head was computed too small") }
        (target + count).copyMemory(from: source, byteCount: bytes.count)
        count += bytes.count
    }
}

/// HTTP/2, as the parts that its codec takes (RFC 9113, section 8).
enum HTTP2Output {
    static let end = HTTPServerResponsePart.end(nil)
    static let proceed = HTTPServerResponsePart.head(HTTPResponseHead(version: .http2, status: .continue))

    static func head(
        _ response: Response,
        _ framing: ResponseFraming,
        date: String,
        serverName: String?
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

    static func body(_ buffer: ByteBuffer) -> HTTPServerResponsePart { .body(.byteBuffer(buffer)) }

    /// Makes a client stop sending a request that has been answered; HTTP/1 has no such message.
    static func stopUpload(_ channel: any Channel) {
        // RFC 9113, section 8.1: only with this code does a client keep the response. Closing the stream's channel would
        // reset the stream with another code.
        let operations = channel.pipeline.syncOperations
        guard let codec = try? operations.context(handlerType: HTTP2FramePayloadToHTTP1ServerCodec.self) else { return }
        codec.writeAndFlush(NIOAny(HTTP2Frame.FramePayload.rstStream(.noError)), promise: nil)
    }

    private static let keepAlive = HTTPField.Name("keep-alive")
}

#endif
