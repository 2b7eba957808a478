// SPDX-License-Identifier: Apache-2.0

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension Request {
    /// Decodes the body as JSON.
    ///
    /// Consumes the body, unless ``Interceptor/bodyParameters(limit:count:)`` has already collected it.
    ///
    /// ```swift
    /// let order = try await request.decode(Order.self)
    /// ```
    ///
    /// - Parameters:
    ///   - type: The type to decode.
    ///   - limit: The maximum size of the body, in bytes. Default: 1 MiB.
    /// - Returns: The decoded value.
    /// - Throws: ``HTTPError`` with status 415 if the content type is neither `application/json` nor ends in `+json`;
    ///   413 if the body exceeds `limit`; 400 if it is not JSON (the message has line and column) or does not fit the
    ///   type (the message has the JSON path). Rethrows errors of the connection.
    public func decode<Value: Decodable>(_ type: Value.Type, upTo limit: Int = 1_048_576) async throws -> Value {
        guard MediaType(headers[.contentType])?.isJSON ?? false else {
            throw HTTPError(.unsupportedMediaType, "the body must be JSON, with `Content-Type: application/json`")
        }
        let bytes = try await collectBody(upTo: limit)
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch let error as DecodingError {
            throw HTTPError(.badRequest, "the body " + Self.explain(error, bytes))
        }
    }

    private static func explain(_ error: DecodingError, _ bytes: [UInt8]) -> String {
        func path(_ context: DecodingError.Context) -> String {
            guard !context.codingPath.isEmpty else { return "at the top level" }
            return "at "
                + context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? "." + $0.stringValue }.joined()
        }
        // JSONDecoder does not report the position of a syntax error, and may report another error first.
        if let position = JSONSyntax.firstError(in: bytes) {
            return "is not JSON: line \(position.line), column \(position.column)"
        }
        switch error {
        case .keyNotFound(let key, let context):
            return "does not match: \"\(key.stringValue)\" is missing \(path(context))"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            return "does not match \(path(context)): \(context.debugDescription)"
        case .dataCorrupted(let context):
            return context.codingPath.isEmpty ? "is not JSON" : "does not match \(path(context))"
        @unknown default:
            return "does not match"
        }
    }
}
