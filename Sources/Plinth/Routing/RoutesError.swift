// SPDX-License-Identifier: Apache-2.0

/// An error in route declarations, or in a call to build a URL.
///
/// It is a programming error, not a client error: thrown by a handler, it becomes a 500.
public struct RoutesError: Error, CustomStringConvertible {
    /// The kind of error.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Wrapped: String {
            case malformedPattern, duplicateName, conflict, unknownRoute, missingParameter, superfluousParameter
            case invalidParameter, noRouter
        }

        private let wrapped: Wrapped

        /// A pattern or base path violates the rules of ``Routes``.
        public static let malformedPattern = Code(wrapped: .malformedPattern)
        /// Two routes have the same name.
        public static let duplicateName = Code(wrapped: .duplicateName)
        /// Two routes match exactly the same requests.
        public static let conflict = Code(wrapped: .conflict)
        /// No route has the requested name.
        public static let unknownRoute = Code(wrapped: .unknownRoute)
        /// A parameter of the route has no value.
        public static let missingParameter = Code(wrapped: .missingParameter)
        /// A value was passed for a parameter that the route does not have.
        public static let superfluousParameter = Code(wrapped: .superfluousParameter)
        /// A value would not match the route: it violates the constraint, or is invalid in a path.
        public static let invalidParameter = Code(wrapped: .invalidParameter)
        /// ``Request/url(for:parameters:query:)`` was called before a router ran.
        public static let noRouter = Code(wrapped: .noRouter)

        /// The code's name.
        public var description: String { wrapped.rawValue }
    }

    /// The kind of error.
    public var code: Code
    /// What is wrong and how to fix it, with the affected routes and where they are declared.
    public var message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The code and the message.
    public var description: String { "\(code): \(message)" }
}
