// SPDX-License-Identifier: Apache-2.0

/// The result of matching a method and a path.
enum RouteMatch {
    /// The index of the route, with its parameter values.
    case route(Int, values: [String])
    /// The path matches only routes for other methods; the value lists the methods for `Allow`, sorted.
    case otherMethods([HTTPRequest.Method])
    /// No route matches.
    case none
    /// The path has malformed percent-encoding or invalid UTF-8.
    case malformed
}

extension RouteTable {
    /// Finds the route for a method and a path.
    func match(_ method: HTTPRequest.Method, _ path: some StringProtocol) -> RouteMatch {
        let bytes = Array(path.utf8)
        let isEncoded = bytes.contains(UInt8(ascii: "%"))
        if !isEncoded, let route = fixedPaths[PathBytes(bytes[...])]?.route(for: method) {
            return .route(route, values: [])
        }
        guard bytes.first == UInt8(ascii: "/") else { return .none }
        var segments: [ArraySlice<UInt8>] = []
        segments.reserveCapacity(8)
        var start = 1
        for index in 1...bytes.count where index == bytes.count || bytes[index] == UInt8(ascii: "/") {
            segments.append(bytes[start..<index])
            start = index + 1
        }
        if isEncoded {
            for index in segments.indices {
                guard let decoded = PercentEncoding.decode(segments[index]) else { return .malformed }
                guard String(validating: decoded, as: UTF8.self) != nil else { return .malformed }
                segments[index] = decoded[...]
            }
        }
        var walk = RouteWalk(table: self, segments: segments, path: isEncoded ? nil : bytes, method: method)
        if let route = walk.find(from: 0, at: 0) {
            return .route(route, values: walk.values(of: routes[route]))
        }
        let others = walk.allowed
        return others.isEmpty ? .none : .otherMethods(others)
    }
}

/// A walk down the tree for one path.
private struct RouteWalk {
    let table: RouteTable
    /// The segments of the path, decoded.
    let segments: [ArraySlice<UInt8>]
    /// The path that the segments are slices of; nil if they were decoded one by one.
    let path: [UInt8]?
    let method: HTTPRequest.Method
    /// The methods of routes that matched the path but not the method.
    private var otherMethods: Set<HTTPRequest.Method> = []

    init(table: RouteTable, segments: [ArraySlice<UInt8>], path: [UInt8]?, method: HTTPRequest.Method) {
        self.table = table
        self.segments = segments
        self.path = path
        self.method = method
    }

    /// The methods for `Allow`, sorted; empty if no pattern matched.
    var allowed: [HTTPRequest.Method] {
        guard !otherMethods.isEmpty else { return [] }
        var all = otherMethods
        if all.contains(.get) { all.insert(.head) }
        all.insert(.options)
        return all.sorted { $0.rawValue < $1.rawValue }
    }

    /// The route with the highest precedence for the segments from `depth` on.
    mutating func find(from node: Int, at depth: Int) -> Int? {
        if depth == segments.count { return choose(table.nodes[node].endpoints) }
        let segment = segments[depth]
        if !table.nodes[node].fixed.isEmpty, let next = table.nodes[node].fixed[PathBytes(segment)],
            let route = find(from: next, at: depth + 1)
        {
            return route
        }
        guard !segment.isEmpty else { return nil }
        if !table.nodes[node].constrained.isEmpty {
            let value = String(decoding: segment, as: UTF8.self)
            for (constraint, next) in table.nodes[node].constrained where constraint.accepts(value) {
                if let route = find(from: next, at: depth + 1) { return route }
            }
        }
        if let next = table.nodes[node].parameter, let route = find(from: next, at: depth + 1) {
            return route
        }
        if !table.nodes[node].wildcards.isEmpty {
            let value = rest(from: depth)
            for (constraint, endpoints) in table.nodes[node].wildcards where constraint.accepts(value) {
                if let route = choose(endpoints) { return route }
            }
        }
        return choose(table.nodes[node].wildcard)
    }

    func values(of entry: RouteTable.Entry) -> [String] {
        var values: [String] = []
        values.reserveCapacity(entry.parameterPositions.count)
        for position in entry.parameterPositions {
            values.append(String(decoding: segments[position], as: UTF8.self))
        }
        if entry.hasWildcard, let last = entry.parameterPositions.last {
            values[values.count - 1] = rest(from: last)
        }
        return values
    }

    private mutating func choose(_ endpoints: RouteTable.Endpoints) -> Int? {
        if let route = endpoints.route(for: method) { return route }
        for entry in endpoints.methods { otherMethods.insert(entry.method) }
        return nil
    }

    private func rest(from depth: Int) -> String {
        if let path { return String(decoding: path[segments[depth].startIndex...], as: UTF8.self) }
        return String(decoding: Array(segments[depth...].joined(separator: [UInt8(ascii: "/")])), as: UTF8.self)
    }
}
