// SPDX-License-Identifier: Apache-2.0

/// A condition that a path parameter must satisfy for its route to match.
///
/// A failed constraint is not an error: the route does not match, and the router tries the others.
///
/// ```swift
/// Route.get("/orders/:id", constraints: ["id": .digits]) { request in … }
/// Route.get("/orders/:view", constraints: ["view": .oneOf(["open", "closed"])]) { request in … }
/// ```
///
/// It receives the percent-decoded value; for a wildcard, the whole match, including slashes.
public struct ParameterConstraint: Sendable, CustomStringConvertible {
    /// A short description of the accepted values, used in default route names and error messages.
    ///
    /// It is also the constraint's identity: constraints with equal descriptions are equal, so routes that differ only
    /// in such constraints conflict.
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

    /// A UUID: 32 hexadecimal digits of either case in groups of 8, 4, 4, 4 and 12 (RFC 9562, section 4).
    public static let uuid = ParameterConstraint("uuid") { value in
        value.utf8.count == 36
            && value.utf8.enumerated().allSatisfy { offset, byte in
                switch offset {
                case 8, 13, 18, 23: byte == UInt8(ascii: "-")
                default: PercentEncoding.hexValue(of: byte) != nil
                }
            }
    }

    /// One of the given values, compared byte by byte.
    public static func oneOf(_ values: [String]) -> ParameterConstraint {
        let accepted = Set(values.map { PathBytes($0) })
        return ParameterConstraint("one of " + values.joined(separator: ", ")) { accepted.contains(PathBytes($0)) }
    }

    /// The values that a closure accepts.
    ///
    /// - Parameters:
    ///   - description: A short description of the accepted values, and the constraint's identity; see ``description``.
    ///   - accept: Returns whether a value is accepted. It runs during matching, so it should be fast, and may receive
    ///     any string a client can send.
    /// - Returns: The constraint.
    public static func matching(
        _ description: String,
        _ accept: @escaping @Sendable (String) -> Bool
    ) -> ParameterConstraint {
        ParameterConstraint(description, accept: accept)
    }

    /// Returns whether a value satisfies the constraint.
    public func accepts(_ value: String) -> Bool {
        accept(value)
    }

    func isSame(as other: ParameterConstraint) -> Bool {
        description.utf8.elementsEqual(other.description.utf8)
    }
}
