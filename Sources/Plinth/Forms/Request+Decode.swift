// SPDX-License-Identifier: Apache-2.0

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension Request {
    /// The JSON in the body, as a value.
    ///
    /// The body is read by this, and cannot be read again unless ``Interceptor/bodyParameters(limit:count:)`` has read
    /// it before.
    ///
    /// ```swift
    /// let order = try await request.decode(Order.self)
    /// ```
    ///
    /// - Parameters:
    ///   - type: What to decode.
    ///   - limit: The most bytes to accept; 1 MiB unless given.
    /// - Returns: The value.
    /// - Throws: ``HTTPError``: 415 if the content type is not `application/json` or one that ends in `+json`, 413 if
    ///   the body is too long, 400 if it is not JSON, with line and column, and 400 if it is not of this type, with the
    ///   path in the JSON. What the connection throws.
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
            guard !context.codingPath.isEmpty else { return "at its top" }
            return "at "
                + context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? "." + $0.stringValue }.joined()
        }
        // The decoder does not say where the syntax is wrong, and may complain of something else before it looks there.
        if let position = JSONSyntax.firstError(in: bytes) {
            return "is not JSON: line \(position.line), column \(position.column)"
        }
        switch error {
        case .keyNotFound(let key, let context):
            return "does not fit: \"\(key.stringValue)\" is missing \(path(context))"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            return "does not fit \(path(context)): \(context.debugDescription)"
        case .dataCorrupted(let context):
            return context.codingPath.isEmpty ? "is not JSON" : "does not fit \(path(context))"
        @unknown default:
            return "does not fit"
        }
    }
}
