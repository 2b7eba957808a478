// SPDX-License-Identifier: Apache-2.0

/// The parsed form of a route's path.
struct RoutePattern: Sendable {
    enum Segment: Sendable {
        case fixed([UInt8])
        case parameter(String, ParameterConstraint?)
        case wildcard(String, ParameterConstraint?)

        var parameterName: String? {
            switch self {
            case .fixed: nil
            case .parameter(let name, _), .wildcard(let name, _): name
            }
        }
    }

    let segments: [Segment]

    /// Parses a path.
    ///
    /// The message of a thrown error does not name the route; the caller adds it.
    init(_ path: String, constraints: [String: ParameterConstraint]) throws(RoutesError) {
        guard path.utf8.first == UInt8(ascii: "/") else {
            throw Self.malformed("it does not start with a slash")
        }
        guard !path.utf8.contains(where: { $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#") }) else {
            throw Self.malformed("it contains \"?\" or \"#\": a route matches only the path")
        }
        guard !Self.isEncoded(path) else {
            throw Self.malformed("it is percent-encoded: write it decoded, as requests are decoded first")
        }
        let parts = path.utf8.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        var segments: [Segment] = []
        var names: Set<String> = []
        for (index, part) in parts.enumerated() {
            let isLast = index == parts.count - 1
            guard let first = part.first else {
                guard isLast else { throw Self.malformed("it has an empty segment: two slashes in a row") }
                segments.append(.fixed([]))
                continue
            }
            guard first == UInt8(ascii: ":") || first == UInt8(ascii: "*") else {
                segments.append(.fixed(Array(part)))
                continue
            }
            let name = String(Substring(part.dropFirst()))
            guard !name.isEmpty, name.utf8.allSatisfy(Self.isNameByte) else {
                throw Self.malformed(
                    "\"\(Substring(part))\" is not a parameter: its name may contain letters, digits, \"_\" and \"-\""
                )
            }
            guard names.insert(name).inserted else {
                throw Self.malformed("two parameters are named \"\(name)\"")
            }
            if first == UInt8(ascii: ":") {
                segments.append(.parameter(name, constraints[name]))
            } else {
                guard isLast else { throw Self.malformed("the wildcard \"*\(name)\" is not the last segment") }
                segments.append(.wildcard(name, constraints[name]))
            }
        }
        if let stray = constraints.keys.sorted().first(where: { !names.contains($0) }) {
            throw Self.malformed("it has a constraint for \"\(stray)\", which is not one of its parameters")
        }
        self.segments = segments
    }

    /// The names of the parameters, in order.
    var parameterNames: [String] { segments.compactMap(\.parameterName) }

    private static func malformed(_ reason: String) -> RoutesError {
        RoutesError(.malformedPattern, reason)
    }

    private static func isEncoded(_ path: String) -> Bool {
        let bytes = Array(path.utf8)
        return bytes.indices.dropLast(2).contains { index in
            bytes[index] == UInt8(ascii: "%") && PercentEncoding.hexValue(of: bytes[index + 1]) != nil
                && PercentEncoding.hexValue(of: bytes[index + 2]) != nil
        }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}
