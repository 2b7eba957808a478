// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthTestSupport
import PlinthTesting
import Testing

/// A reference router that tries every route and ranks the matches: slow, but obviously correct.
private struct Model {
    var routes: [Route]

    /// The rank of a route for a path's segments, lower is better; nil if it does not match.
    private func rank(_ index: Int, _ path: [String]) -> [Int]? {
        let route = routes[index]
        let pattern = route.path.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map(String.init)
        var rank: [Int] = []
        for (position, segment) in pattern.enumerated() {
            guard position < path.count else { return nil }
            let constraint = route.constraints[String(segment.dropFirst())]
            if segment.hasPrefix("*") {
                let rest = path[position...].joined(separator: "/")
                guard !path[position].isEmpty, constraint?.accepts(rest) != false else { return nil }
                return rank + [constraint == nil ? 2_000_000 : 1_000_001 + first(constraint)]
            }
            if segment.hasPrefix(":") {
                guard !path[position].isEmpty, constraint?.accepts(path[position]) != false else { return nil }
                rank.append(constraint == nil ? 1_000_000 : 1 + first(constraint))
            } else {
                guard segment == path[position] else { return nil }
                rank.append(0)
            }
        }
        return pattern.count == path.count ? rank : nil
    }

    /// Constant, because this test uses only one constraint.
    private func first(_ constraint: ParameterConstraint?) -> Int { 0 }

    func match(_ method: HTTPRequest.Method, _ path: String) -> String {
        let segments = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map(String.init)
        let matching = routes.indices.compactMap { index in rank(index, segments).map { (index, $0) } }
        func methodRank(_ route: Route) -> Int? {
            if route.method == method { return 0 }
            if method == .head, route.method == .get { return 1 }
            return route.method == nil ? 2 : nil
        }
        let best = matching.compactMap { index, rank in
            methodRank(routes[index]).map { (index, rank + [$0]) }
        }.min { $0.1.lexicographicallyPrecedes($1.1) }
        if let best { return routes[best.0].name ?? "?" }
        if matching.isEmpty { return "404" }
        var allowed = Set(matching.compactMap { routes[$0.0].method?.rawValue })
        if allowed.contains("GET") { allowed.insert("HEAD") }
        allowed.insert("OPTIONS")
        return allowed.sorted().joined(separator: ", ")
    }
}

@Suite("Routing model")
struct RoutingModelTests {
    @Test(
        "For random routes and paths, the tree finds the same route as the model",
        arguments: 1...20 as ClosedRange<UInt64>
    )
    func random(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let words = ["a", "b", "7", "42"]
        var model = Model(routes: [])
        for _ in 0..<60 {
            var path = ""
            var names = ["x", "y", "z", "w"]
            var constraints: [String: ParameterConstraint] = [:]
            let depth = Int.random(in: 1...4, using: &random)
            for position in 1...depth {
                switch Int.random(in: 0..<8, using: &random) {
                case 0...3: path += "/" + (words.randomElement(using: &random) ?? "")
                case 4...5:
                    let name = names.removeFirst()
                    path += "/:" + name
                    if Bool.random(using: &random) { constraints[name] = .digits }
                case 6 where position == depth:
                    path += "/*rest"
                    if Bool.random(using: &random) { constraints["rest"] = .digits }
                default:
                    path += position == depth ? "/" : "/a"
                }
            }
            let method: HTTPRequest.Method? = [.get, .post, .head, nil].randomElement(using: &random) ?? nil
            let route = Route(
                method,
                path,
                name: "r\(model.routes.count)",
                interceptors: [.handler("name") { .text($0.route?.name ?? "?") }],
                constraints: constraints
            )
            // Skip conflicting routes; conflicts are tested separately.
            if (try? Routes(model.routes + [route])) != nil { model.routes.append(route) }
        }
        let chain = Chain([try Routes(model.routes).router])
        for _ in 0..<400 {
            let depth = Int.random(in: 1...5, using: &random)
            let path = (0..<depth).map { _ in "/" + ((words + [""]).randomElement(using: &random) ?? "") }.joined()
            let method = [.get, .post, .head, .put].randomElement(using: &random) ?? HTTPRequest.Method.get
            let response = await chain.unsentResponse(for: .make(method, path))
            let found =
                switch response.status {
                case .ok:
                    try await Chain([.init("body", enter: { $0.response = response })]).response(for: .get("/")).body
                case .methodNotAllowed: response.headers[.allow] ?? ""
                default: "\(response.status.code)"
                }
            #expect(found == model.match(method, path), "seed \(seed): \(method) \(path)")
        }
    }
}
