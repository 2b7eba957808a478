// SPDX-License-Identifier: Apache-2.0

/// Which route matched a request.
public struct RouteIdentity: Sendable, Hashable {
    /// Its name, unique among the routes of a service.
    public let name: String
    /// The pattern it was declared with, such as `/users/:id`.
    ///
    /// There are as many as routes, so it may label metrics.
    public let pattern: String

    /// An identity of these parts.
    public init(name: String, pattern: String) {
        self.name = name
        self.pattern = pattern
    }
}
