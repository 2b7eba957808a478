// SPDX-License-Identifier: Apache-2.0

/// What the parameters of a route's pattern matched, percent-decoded.
public struct PathParameters: Sendable, Hashable {
    private var names: [String] = []
    private var values: [String] = []

    /// None.
    public init() {}

    package init(names: [String], values: [String]) {
        self.names = names
        self.values = values
    }

    /// What the parameter of this name matched, nil if the route has none of that name.
    public subscript(name: String) -> String? {
        names.firstIndex(of: name).map { values[$0] }
    }

    /// What the parameter of this name matched.
    ///
    /// - Throws: ``MissingPathParameter`` if the route has no such parameter: the handler and the pattern disagree, and the
    ///   client is answered 500.
    public func require(_ name: String) throws -> String {
        guard let value = self[name] else {
            throw MissingPathParameter(name: name, present: names)
        }
        return value
    }

    /// The number of parameters.
    public var count: Int { names.count }

    package mutating func append(_ name: String, _ value: String) {
        names.append(name)
        values.append(value)
    }
}

/// A handler asked for a path parameter that its route's pattern does not have.
public struct MissingPathParameter: Error, CustomStringConvertible {
    /// The name that was asked for.
    public let name: String
    /// The names that the pattern has.
    public let present: [String]

    /// What was asked for, and what there is.
    public var description: String {
        "the route has no path parameter \"\(name)\"; it has \(present.isEmpty ? "none" : present.joined(separator: ", "))"
    }
}
