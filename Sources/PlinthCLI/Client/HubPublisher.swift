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
        enum Kind {
            /// Nothing was sent.
            case unreachable
            /// Whether the hub has the events is not known.
            case unanswered
            /// The hub has no more of them than it says.
            case refused
        }

        let kind: Kind
        /// How many of the events the hub has all the same.
        var accepted = 0
        let reason: String
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
                kind: .refused,
                accepted: min(max(answer.count ?? 0, 0), batch.count),
                reason: "the server acknowledged \(answer.count ?? 0) events of \(batch.count)"
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
            let response = try await client.execute(request, timeout: TimeAmount(timeout))
            status = response.status
            text = try await response.body.collect(upTo: 1 << 16)
        } catch let error as HTTPClientError where error == .connectTimeout {
            throw Failure(kind: .unreachable, reason: "the server cannot be reached: \(error)")
        } catch let error as IOError where [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH].contains(error.errnoCode) {
            throw Failure(kind: .unreachable, reason: "the server cannot be reached: \(error)")
        } catch let error as NIOConnectionError {
            throw Failure(kind: .unreachable, reason: "the server cannot be reached: \(error)")
        } catch {
            throw Failure(kind: .unanswered, reason: "there was no answer: \(error)")
        }
        let answer = (try? JSONDecoder().decode(Answer.self, from: Data(text.readableBytesView))) ?? Answer()
        guard (200..<300).contains(status.code) else {
            let body = String(buffer: text).trimmingCharacters(in: .whitespacesAndNewlines)
            let reason = answer.error ?? EventText.visible(body.prefix(200))
            throw Failure(
                kind: .refused,
                accepted: max(answer.count ?? 0, 0),
                reason: "the server answered \(status.code) \(status.reasonPhrase)"
                    + (reason.isEmpty ? "" : ": \(reason)")
            )
        }
        return answer
    }

    /// A value as a query has it (RFC 3986, section 2.3): all but the unreserved characters percent-encoded.
    static func encoded(_ text: String) -> String {
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        let unreserved = CharacterSet(charactersIn: letters + "0123456789-._~")
        return text.addingPercentEncoding(withAllowedCharacters: unreserved) ?? ""
    }
}
#endif
