// SPDX-License-Identifier: Apache-2.0

/// Routes, indexed for matching.
final class RouteTable: Sendable {
    /// A route with its precomputed pattern and interceptors.
    struct Entry: Sendable {
        let route: Route
        let identity: RouteIdentity
        let interceptors: [Interceptor]
        let pattern: RoutePattern
        let parameterNames: [String]
        /// The segment indices of the parameters, counting the base path.
        let parameterPositions: [Int]
        /// Whether the last parameter is a wildcard.
        let hasWildcard: Bool
    }

    /// The routes that end at one tree node, by method.
    struct Endpoints: Sendable {
        var any: Int?
        var methods: [(method: HTTPRequest.Method, route: Int)] = []

        func exact(_ method: HTTPRequest.Method?) -> Int? {
            guard let method else { return any }
            for entry in methods where entry.method == method { return entry.route }
            return nil
        }

        func route(for method: HTTPRequest.Method) -> Int? {
            if let route = exact(method) { return route }
            if method == .head, let route = exact(.get) { return route }
            return any
        }
    }

    /// A tree node: the possible next segments, in order of precedence.
    struct Node: Sendable {
        var fixed: [PathBytes: Int] = [:]
        var constrained: [(constraint: ParameterConstraint, node: Int)] = []
        var parameter: Int?
        var wildcards: [(constraint: ParameterConstraint, endpoints: Endpoints)] = []
        var wildcard = Endpoints()
        var endpoints = Endpoints()
    }

    let routes: [Entry]
    /// The nodes of the tree; the first is the root.
    let nodes: [Node]
    /// All parameterless paths, including the base path: a fast path with the same result as the tree walk.
    let fixedPaths: [PathBytes: Endpoints]
    let byName: [String: Int]
    let base: [[UInt8]]

    init(_ declared: [Route], basePath: String) throws(RoutesError) {
        var builder = RouteTableBuilder()
        base = try Self.segments(ofBase: basePath)
        for route in declared {
            try builder.add(route, base: base)
        }
        routes = builder.routes
        nodes = builder.nodes
        fixedPaths = builder.fixedPaths
        byName = builder.byName
    }

    private static func segments(ofBase basePath: String) throws(RoutesError) -> [[UInt8]] {
        guard !basePath.isEmpty else { return [] }
        do {
            return try RoutePattern(basePath, constraints: [:]).segments.map { segment throws(RoutesError) in
                guard case .fixed(let text) = segment else {
                    throw RoutesError(.malformedPattern, "it has parameters")
                }
                return text
            }
        } catch {
            throw RoutesError(error.code, "the base path \"\(basePath)\" is malformed: \(error.message)")
        }
    }
}

/// Builds a route table incrementally.
struct RouteTableBuilder {
    private(set) var routes: [RouteTable.Entry] = []
    private(set) var nodes = [RouteTable.Node()]
    private(set) var fixedPaths: [PathBytes: RouteTable.Endpoints] = [:]
    private(set) var byName: [String: Int] = [:]

    mutating func add(_ route: Route, base: [[UInt8]]) throws(RoutesError) {
        let pattern: RoutePattern
        do {
            pattern = try RoutePattern(route.path, constraints: route.constraints)
        } catch {
            throw RoutesError(error.code, "the pattern of \(route.place) is malformed: \(error.message)")
        }
        let index = routes.count
        try place(index, route, pattern, base)
        let name = route.name ?? route.defaultName
        if let other = byName.updateValue(index, forKey: name) {
            throw RoutesError(
                .duplicateName,
                "\(route.place) has the name of \(routes[other].route.place): give one of them a different `name:`"
            )
        }
        let positions = pattern.segments.indices.filter { pattern.segments[$0].parameterName != nil }
        var hasWildcard = false
        if case .wildcard? = pattern.segments.last { hasWildcard = true }
        var interceptors = route.interceptors
        if let handler = route.handler { interceptors.append(handler(name)) }
        routes.append(
            RouteTable.Entry(
                route: route,
                identity: RouteIdentity(name: name, pattern: route.path),
                interceptors: interceptors,
                pattern: pattern,
                parameterNames: pattern.parameterNames,
                parameterPositions: positions.map { $0 + base.count },
                hasWildcard: hasWildcard
            )
        )
    }

    /// Adds a route to the tree.
    private mutating func place(
        _ index: Int,
        _ route: Route,
        _ pattern: RoutePattern,
        _ base: [[UInt8]]
    ) throws(RoutesError) {
        var node = 0
        var path: [UInt8]? = []
        for segment in base.map(RoutePattern.Segment.fixed) + pattern.segments {
            switch segment {
            case .fixed(let text):
                path?.append(UInt8(ascii: "/"))
                path?.append(contentsOf: text)
                let key = PathBytes(text[...])
                if let next = nodes[node].fixed[key] {
                    node = next
                } else {
                    let next = newNode()
                    nodes[node].fixed[key] = next
                    node = next
                }
            case .parameter(_, let constraint?):
                path = nil
                if let same = nodes[node].constrained.first(where: { $0.constraint.isSame(as: constraint) }) {
                    node = same.node
                } else {
                    let next = newNode()
                    nodes[node].constrained.append((constraint, next))
                    node = next
                }
            case .parameter(_, nil):
                path = nil
                if let next = nodes[node].parameter {
                    node = next
                } else {
                    let next = newNode()
                    nodes[node].parameter = next
                    node = next
                }
            case .wildcard(_, let constraint?):
                if let same = nodes[node].wildcards.firstIndex(where: { $0.constraint.isSame(as: constraint) }) {
                    try Self.end(index, route, among: routes, at: &nodes[node].wildcards[same].endpoints)
                } else {
                    var endpoints = RouteTable.Endpoints()
                    try Self.end(index, route, among: routes, at: &endpoints)
                    nodes[node].wildcards.append((constraint, endpoints))
                }
                return
            case .wildcard(_, nil):
                try Self.end(index, route, among: routes, at: &nodes[node].wildcard)
                return
            }
        }
        try Self.end(index, route, among: routes, at: &nodes[node].endpoints)
        if let path { fixedPaths[PathBytes(path[...])] = nodes[node].endpoints }
    }

    private mutating func newNode() -> Int {
        nodes.append(RouteTable.Node())
        return nodes.count - 1
    }

    /// Registers a route at a tree node.
    ///
    /// Static, because a method on `self` would copy all nodes on each call.
    private static func end(
        _ index: Int,
        _ route: Route,
        among routes: [RouteTable.Entry],
        at endpoints: inout RouteTable.Endpoints
    ) throws(RoutesError) {
        if let other = endpoints.exact(route.method) {
            throw RoutesError(
                .conflict,
                "\(route.place) matches the same requests as \(routes[other].route.place): remove one, or distinguish them by method or constraint"
            )
        }
        if let method = route.method {
            endpoints.methods.append((method, index))
        } else {
            endpoints.any = index
        }
    }
}
