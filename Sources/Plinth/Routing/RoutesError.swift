// SPDX-License-Identifier: Apache-2.0

/// A mistake in routes, found when they are put together, or in a request for a URL.
///
/// It is the program's mistake and not the client's: thrown by a handler it becomes a 500.
public struct RoutesError: Error, CustomStringConvertible {
    /// What kind of mistake it is.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Wrapped: String {
            case malformedPattern, duplicateName, conflict, unknownRoute, missingParameter, superfluousParameter
            case invalidParameter, noRouter
        }

        private let wrapped: Wrapped

        /// A pattern, or a base path, breaks the rules of ``Routes``.
        public static let malformedPattern = Code(wrapped: .malformedPattern)
        /// Two routes have one name.
        public static let duplicateName = Code(wrapped: .duplicateName)
        /// Two routes would match exactly the same requests.
        public static let conflict = Code(wrapped: .conflict)
        /// No route has the name that a URL was asked for.
        public static let unknownRoute = Code(wrapped: .unknownRoute)
        /// The route has a parameter that no value was given for.
        public static let missingParameter = Code(wrapped: .missingParameter)
        /// A value was given for a parameter that the route does not have.
        public static let superfluousParameter = Code(wrapped: .superfluousParameter)
        /// A value would not match the route: it violates the constraint, or it cannot stand in a path.
        public static let invalidParameter = Code(wrapped: .invalidParameter)
        /// A request was asked for a URL, and no router has run.
        public static let noRouter = Code(wrapped: .noRouter)

        /// The code's name.
        public var description: String { wrapped.rawValue }
    }

    /// What kind of mistake it is.
    public var code: Code
    /// What is wrong and what to do about it, with the routes it is about and where they are declared.
    public var message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The code and the message.
    public var description: String { "\(code): \(message)" }
}
