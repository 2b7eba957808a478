// SPDX-License-Identifier: Apache-2.0

/// What a path parameter must look like for its route to match.
///
/// A constraint that fails is not an error: the route does not match, and matching goes on to the others.
///
/// ```swift
/// Route.get("/orders/:id", constraints: ["id": .digits]) { request in … }
/// Route.get("/orders/:view", constraints: ["view": .oneOf(["open", "closed"])]) { request in … }
/// ```
///
/// It is given the percent-decoded value. For a wildcard that is all that the wildcard matched, slashes included.
public struct ParameterConstraint: Sendable, CustomStringConvertible {
    /// What it accepts, in a word or two: in default route names and in messages.
    ///
    /// It is also its identity: two constraints of the same description count as the same, so that two routes that
    /// differ in nothing else are a conflict.
    public let description: String

    private let accept: @Sendable (String) -> Bool

    private init(_ description: String, accept: @escaping @Sendable (String) -> Bool) {
        self.description = description
        self.accept = accept
    }

    /// One or more ASCII digits.
    public static let digits = ParameterConstraint("digits") { value in
        !value.isEmpty && value.utf8.allSatisfy { (0x30...0x39).contains($0) }
    }

    /// A UUID in its usual form: 32 hexadecimal digits of either case in groups of 8, 4, 4, 4 and 12 (RFC 9562,
    /// section 4).
    public static let uuid = ParameterConstraint("uuid") { value in
        value.utf8.count == 36
            && value.utf8.enumerated().allSatisfy { offset, byte in
                switch offset {
                case 8, 13, 18, 23: byte == UInt8(ascii: "-")
                default: PercentEncoding.hexValue(of: byte) != nil
                }
            }
    }

    /// One of these values, compared byte by byte.
    public static func oneOf(_ values: [String]) -> ParameterConstraint {
        let accepted = Set(values.map { PathBytes($0) })
        return ParameterConstraint("one of " + values.joined(separator: ", ")) { accepted.contains(PathBytes($0)) }
    }

    /// What a closure accepts.
    ///
    /// - Parameters:
    ///   - description: What it accepts, in a word or two; also its identity, see ``description``.
    ///   - accept: Tells whether a value is accepted. It runs on the way to a route, so it should be quick, and it may
    ///     see any string that a client can send.
    /// - Returns: The constraint.
    public static func matching(
        _ description: String,
        _ accept: @escaping @Sendable (String) -> Bool
    ) -> ParameterConstraint {
        ParameterConstraint(description, accept: accept)
    }

    /// Whether a value satisfies it.
    public func accepts(_ value: String) -> Bool {
        accept(value)
    }

    func isSame(as other: ParameterConstraint) -> Bool {
        description.utf8.elementsEqual(other.description.utf8)
    }
}
