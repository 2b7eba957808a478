// SPDX-License-Identifier: Apache-2.0

extension Routes {
    /// Builds the path of a route: base path, percent-encoded segments, and optional query.
    ///
    /// A request for it matches the route with the same parameters, unless a route of higher precedence also matches.
    ///
    /// ```swift
    /// try routes.url(for: "user", parameters: ["id": "a/b"], query: [("q", "x y")])   // /users/a%2Fb?q=x%20y
    /// ```
    ///
    /// - Parameters:
    ///   - name: The route's explicit or default name.
    ///   - parameters: A value for each parameter of the pattern. Slashes in a wildcard's value separate segments.
    ///   - query: Query names and values, in order. Default: none, no question mark.
    /// - Returns: The path, and the query if there is one.
    /// - Throws: ``RoutesError`` if there is no such route, a parameter is missing or superfluous, or a value would not
    ///   match: it is empty, violates the constraint, starts with a slash (wildcard), or produces a `.` or `..`
    ///   segment, which clients resolve before sending.
    public func url(
        for name: String,
        parameters: [String: String] = [:],
        query: [(String, String)] = []
    ) throws(RoutesError) -> String {
        guard let index = table.byName[name] else {
            throw RoutesError(.unknownRoute, "there is no route named \"\(name)\"")
        }
        let entry = table.routes[index]
        if let stray = parameters.keys.sorted().first(where: { !entry.parameterNames.contains($0) }) {
            throw RoutesError(.superfluousParameter, "\(entry.route.place) has no parameter \"\(stray)\"")
        }
        var url = ""
        for text in table.base {
            url += "/" + Self.encodeFixed(text)
        }
        for segment in entry.pattern.segments {
            url += "/"
            switch segment {
            case .fixed(let text):
                url += Self.encodeFixed(text)
            case .parameter(let parameter, let constraint):
                let value = try Self.value(parameter, constraint, parameters, entry)
                try Self.checkDots(value[...], parameter, entry)
                url += PercentEncoding.encode(value)
            case .wildcard(let parameter, let constraint):
                let value = try Self.value(parameter, constraint, parameters, entry)
                guard value.utf8.first != UInt8(ascii: "/") else {
                    throw Self.invalid(parameter, "starts with a slash", entry)
                }
                for (offset, part) in Self.split(value).enumerated() {
                    try Self.checkDots(part, parameter, entry)
                    if offset > 0 { url += "/" }
                    url += PercentEncoding.encode(part)
                }
            }
        }
        for (offset, item) in query.enumerated() {
            url += offset == 0 ? "?" : "&"
            url += PercentEncoding.encode(item.0) + "=" + PercentEncoding.encode(item.1)
        }
        return url
    }

    private static func encodeFixed(_ text: [UInt8]) -> String {
        // Keeps everything allowed in a segment (RFC 3986, section 3.3), so that the URL resembles its pattern.
        PercentEncoding.encode(String(decoding: text, as: UTF8.self), keeping: "!$&'()*+,;=:@")
    }

    private static func split(_ value: String) -> [Substring] {
        value.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map { Substring($0) }
    }

    private static func value(
        _ parameter: String,
        _ constraint: ParameterConstraint?,
        _ parameters: [String: String],
        _ entry: RouteTable.Entry
    ) throws(RoutesError) -> String {
        guard let value = parameters[parameter] else {
            throw RoutesError(.missingParameter, "\(entry.route.place) needs a value for \"\(parameter)\"")
        }
        guard !value.isEmpty else { throw invalid(parameter, "is empty", entry) }
        if let constraint, !constraint.accepts(value) {
            throw invalid(parameter, "violates its constraint (\(constraint))", entry)
        }
        return value
    }

    private static func checkDots(
        _ segment: Substring,
        _ parameter: String,
        _ entry: RouteTable.Entry
    ) throws(RoutesError) {
        guard segment != ".", segment != ".." else {
            throw invalid(parameter, "has a segment \".\" or \"..\", which clients resolve before sending", entry)
        }
    }

    private static func invalid(_ parameter: String, _ reason: String, _ entry: RouteTable.Entry) -> RoutesError {
        RoutesError(.invalidParameter, "the value of \"\(parameter)\" for \(entry.route.place) \(reason)")
    }
}

extension Request {
    /// Builds the path of a route of the service that handles this request.
    ///
    /// - Parameters:
    ///   - name: The route's explicit or default name.
    ///   - parameters: A value for each parameter of the pattern. Default: none.
    ///   - query: Query names and values, in order. Default: none.
    /// - Returns: The path, and the query if there is one.
    /// - Throws: ``RoutesError``, as ``Routes/url(for:parameters:query:)``, or if no router has run yet.
    public func url(
        for name: String,
        parameters: [String: String] = [:],
        query: [(String, String)] = []
    ) throws(RoutesError) -> String {
        guard let routes else {
            throw RoutesError(.noRouter, "no router has processed this request yet: call this after it, or on Routes")
        }
        return try routes.url(for: name, parameters: parameters, query: query)
    }
}
