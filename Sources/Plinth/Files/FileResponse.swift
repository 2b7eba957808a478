// SPDX-License-Identifier: Apache-2.0

extension Response {
    /// Serves a file for `GET` or `HEAD`, with validators, conditions and ranges (RFC 9110, sections 8.8, 13, 14).
    ///
    /// - Parameters:
    ///   - path: The path of the file, already validated.
    ///   - status: The file's status.
    ///   - request: The request, which may carry conditions and a range.
    ///   - cacheControl: The `Cache-Control` field, or nil for none.
    /// - Returns: 200 with the file, 206 with a range of it, 304 without a body, or 416.
    static func file(_ path: String, _ status: FileStatus, for request: Request, cacheControl: String?) -> Response {
        // Size and modification time in nanoseconds: a change that preserves both goes unnoticed.
        let entityTag =
            "\"\(String(status.size, radix: 16))-\(String(status.modifiedSeconds, radix: 16))"
            + "-\(String(status.modifiedNanoseconds, radix: 16))\""
        let modified = HTTPDate(secondsSince1970: status.modifiedSeconds)
        var response = Response(headers: [.eTag: entityTag, .lastModified: modified.description])
        response.headers[.cacheControl] = cacheControl
        if isUnchanged(request, entityTag, modified) {
            response.status = .notModified
            return response
        }
        response.headers[.acceptRanges] = "bytes"
        response.headers[.contentType] = ContentTypes.forPath(path) ?? "application/octet-stream"
        response.body = .file(path: path)
        guard request.method == .get, let field = request.headers[.range], isRangeWanted(request, entityTag, modified)
        else { return response }
        switch ByteRange(field, size: status.size) {
        case .whole:
            return response
        case .bytes(let range):
            response.status = .partialContent
            response.headers[.contentRange] = "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(status.size)"
            response.body = .file(path: path, range: range)
            return response
        case .unsatisfiable:
            return Response(
                status: .rangeNotSatisfiable,
                headers: [.contentRange: "bytes */\(status.size)", .acceptRanges: "bytes"]
            )
        }
    }

    /// RFC 9110, section 13.2.2: `If-None-Match` takes precedence over `If-Modified-Since`.
    private static func isUnchanged(_ request: Request, _ entityTag: String, _ modified: HTTPDate) -> Bool {
        if let tags = request.headers[.ifNoneMatch] {
            return tags.split(separator: ",").contains { tag in
                let tag = tag.drop { $0 == " " || $0 == "\t" }.prefix { $0 != " " && $0 != "\t" }
                // Weak comparison (RFC 9110, section 8.8.3.2): a weak tag matches its strong form.
                return tag == "*" || tag == entityTag || tag == "W/" + entityTag
            }
        }
        guard let since = request.headers[.ifModifiedSince].flatMap({ HTTPDate($0) }) else { return false }
        return modified <= since
    }

    /// RFC 9110, section 13.1.5: with `If-Range`, the range applies only if the validator still matches.
    private static func isRangeWanted(_ request: Request, _ entityTag: String, _ modified: HTTPDate) -> Bool {
        guard let condition = request.headers[.ifRange] else { return true }
        return condition == entityTag || HTTPDate(condition) == modified
    }
}
