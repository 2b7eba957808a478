// SPDX-License-Identifier: Apache-2.0

/// Who publishes or subscribes, as an authorizer identified it.
public struct HubSubject: Sendable, Hashable, CustomStringConvertible, ExpressibleByStringLiteral {
    /// One reference, since every key and producer has a subject.
    private final class Names: Sendable {
        let source: String
        let issuer: String?
        let name: String

        init(source: String, issuer: String?, name: String) {
            self.source = source
            self.issuer = issuer
            self.name = name
        }
    }

    private let names: Names

    /// Creates a subject.
    ///
    /// - Parameters:
    ///   - source: What identified it, such as `jwt`.
    ///   - issuer: Who vouches for it. Default: nil, if the source alone does.
    ///   - name: Its name, unique within source and issuer.
    public init(source: String, issuer: String? = nil, name: String) {
        names = Names(source: source, issuer: issuer, name: name)
    }

    /// Creates a subject that the application itself identified: its source is `application`.
    ///
    /// - Parameter name: Its name.
    public init(_ name: String) {
        self.init(source: "application", name: name)
    }

    /// Creates a subject that the application itself identified, as ``init(_:)``.
    public init(stringLiteral name: String) {
        self.init(name)
    }

    /// What identified the subject, such as `jwt`.
    public var source: String { names.source }
    /// Who vouches for it; nil if the source alone does.
    public var issuer: String? { names.issuer }
    /// Its name, unique within source and issuer.
    public var name: String { names.name }

    /// The subject as text, for logs.
    public var description: String { [source, issuer, name].compactMap { $0 }.joined(separator: ":") }

    /// Whether source, issuer and name are the same bytes.
    public static func == (left: HubSubject, right: HubSubject) -> Bool {
        left.names === right.names
            || (left.source.utf8.elementsEqual(right.source.utf8) && left.name.utf8.elementsEqual(right.name.utf8)
                && (left.issuer == nil) == (right.issuer == nil)
                && (left.issuer ?? "").utf8.elementsEqual((right.issuer ?? "").utf8))
    }

    /// Hashes the names.
    public func hash(into hasher: inout Hasher) {
        // Names that are equal as bytes are equal as strings.
        hasher.combine(source)
        hasher.combine(issuer)
        hasher.combine(name)
    }
}
