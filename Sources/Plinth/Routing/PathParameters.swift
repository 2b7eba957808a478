// SPDX-License-Identifier: Apache-2.0

/// The values of a route's path parameters, percent-decoded.
public struct PathParameters: Sendable, Hashable {
    private var names: [String] = []
    private var values: [String] = []

    /// Creates an empty collection.
    public init() {}

    package init(names: [String], values: [String]) {
        self.names = names
        self.values = values
    }

    /// The value of a parameter, or nil if the route has no such parameter.
    public subscript(name: String) -> String? {
        names.firstIndex(of: name).map { values[$0] }
    }

    /// Returns the value of a parameter.
    ///
    /// - Throws: ``MissingPathParameter`` if the route has no such parameter. The handler and the pattern disagree, so
    ///   the response is a 500.
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

/// A handler requested a path parameter that the route's pattern does not have.
public struct MissingPathParameter: Error, CustomStringConvertible {
    /// The requested name.
    public let name: String
    /// The parameter names of the pattern.
    public let present: [String]

    /// The requested name and the existing ones.
    public var description: String {
        "the route has no path parameter \"\(name)\"; it has \(present.isEmpty ? "none" : present.joined(separator: ", "))"
    }
}
