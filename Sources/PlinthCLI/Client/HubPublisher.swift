// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import AsyncHTTPClient
import Foundation
import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOPosix
import PlinthClient

/// Puts events into a topic of a hub over HTTP.
struct HubPublisher: Sendable {
    /// What a hub answered.
    struct Answer: Decodable {
        var id: String?
        var count: Int?
        var error: String?
    }

    /// Why events were not acknowledged.
    struct Failure: Error {
        /// How many of them the hub has all the same.
        let accepted: Int
        let reason: String
        /// Whether nothing is known of the others.
        let isUnknown: Bool
    }

    let client: HTTPClient
    let url: String
    let fields: HTTPFields
    let timeout: Duration

    /// Publishes one event whose data is the body.
    func publish(data: [UInt8], type: String?, retry: String?) async throws -> String {
        var url = url
        for case (let name, let value?) in [("type", type), ("retry", retry)] {
            url += (url.contains("?") ? "&" : "?") + name + "=" + Self.encoded(value)
        }
        let answer = try await send(url, data, contentType: "text/plain; charset=utf-8")
        return answer.id ?? ""
    }

    /// Publishes the events of an event stream.
    ///
    /// - Returns: The ID of the last.
    func publish(_ batch: EventLines.Batch) async throws -> String {
        let answer = try await send(url, batch.bytes, contentType: "text/event-stream")
        guard answer.count ?? batch.count == batch.count else {
            throw Failure(
                accepted: min(max(answer.count ?? 0, 0), batch.count),
                reason: "the server acknowledged \(answer.count ?? 0) events of \(batch.count)",
                isUnknown: false
            )
        }
        return answer.id ?? ""
    }

    private func send(_ url: String, _ body: [UInt8], contentType: String) async throws -> Answer {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: contentType)
        for field in fields { request.headers.replaceOrAdd(name: field.name.rawName, value: field.value) }
        request.body = .bytes(body, length: .known(Int64(body.count)))
        let status: HTTPResponseStatus
        let text: ByteBuffer
        do {
            let response = try await client.execute(request, timeout: .nanoseconds(timeout.inNanoseconds))
            status = response.status
            text = try await response.body.collect(upTo: 1 << 16)
        } catch let error as HTTPClientError where error == .connectTimeout {
            throw Failure(accepted: 0, reason: "the server cannot be reached: \(error)", isUnknown: false)
        } catch let error as IOError where [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH].contains(error.errnoCode) {
            throw Failure(accepted: 0, reason: "the server cannot be reached: \(error)", isUnknown: false)
        } catch let error as NIOConnectionError {
            throw Failure(accepted: 0, reason: "the server cannot be reached: \(error)", isUnknown: false)
        } catch {
            throw Failure(accepted: 0, reason: "there was no answer: \(error)", isUnknown: true)
        }
        let answer = (try? JSONDecoder().decode(Answer.self, from: Data(text.readableBytesView))) ?? Answer()
        guard (200..<300).contains(status.code) else {
            let body = String(buffer: text).trimmingCharacters(in: .whitespacesAndNewlines)
            let reason = answer.error ?? EventText.visible(body.prefix(200))
            throw Failure(
                accepted: max(answer.count ?? 0, 0),
                reason:
                    "the server answered \(status.code) \(status.reasonPhrase)\(reason.isEmpty ? "" : ": \(reason)")",
                isUnknown: false
            )
        }
        return answer
    }

    /// A value as a query has it (RFC 3986): all but letters, digits and a few signs percent-encoded.
    static func encoded(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E:
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                result += "%" + (digits.count == 1 ? "0" : "") + digits
            }
        }
        return result
    }
}

extension Duration {
    /// In nanoseconds, no more than an `Int64` holds.
    var inNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (nanoseconds, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? (seconds < 0 ? .min : .max) : nanoseconds &+ attoseconds / 1_000_000_000
    }
}
#endif
