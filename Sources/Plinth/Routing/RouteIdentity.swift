// SPDX-License-Identifier: Apache-2.0

/// The name and pattern of a route.
public struct RouteIdentity: Sendable, Hashable {
    /// The name, unique among the routes of a service.
    public let name: String
    /// The pattern as declared, such as `/users/:id`.
    ///
    /// Its cardinality is bounded by the number of routes, so it is safe as a metric label.
    public let pattern: String

    /// Creates an identity.
    public init(name: String, pattern: String) {
        self.name = name
        self.pattern = pattern
    }
}
