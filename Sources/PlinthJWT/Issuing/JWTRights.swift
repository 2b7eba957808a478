// SPDX-License-Identifier: Apache-2.0

#if JWT
public import PlinthHub
import PlinthStreams

/// The rights in a token's claim: `{"publish":[…],"subscribe":[…],"operate":true}`.
///
/// ```swift
/// JWTRights(publish: [.topic(own)], subscribe: [.topic(own), .pattern(team)])
/// ```
public struct JWTRights: Sendable, Hashable {
    /// One topic, or those of a pattern.
    public struct Topics: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: Hashable {
            case topic(Topic)
            case pattern(TopicPattern)
        }

        private let kind: Kind

        /// Exactly this topic; in the claim, a string.
        public static func topic(_ topic: Topic) -> Topics { Topics(kind: .topic(topic)) }
        /// The topics that match a pattern; in the claim, `{"match":"orders/*"}`.
        public static func pattern(_ pattern: TopicPattern) -> Topics { Topics(kind: .pattern(pattern)) }

        /// The topic or the pattern in words.
        public var description: String {
            switch kind {
            case .topic(let topic): "the topic \(JSONString.quoted(topic.name))"
            case .pattern(let pattern): "the topics that match \(JSONString.quoted(pattern.description))"
            }
        }

        var json: String {
            switch kind {
            case .topic(let topic): JSONString.quoted(topic.name)
            case .pattern(let pattern): "{\"match\":\(JSONString.quoted(pattern.description))}"
            }
        }
    }

    /// What may be published to and ended.
    public var publish: [Topics]
    /// What may be seen.
    public var subscribe: [Topics]
    /// Whether the hub may be operated: purges, limits, its status and revocations.
    public var operates: Bool

    /// Creates rights.
    ///
    /// - Parameters:
    ///   - publish: What may be published to. Default: nothing.
    ///   - subscribe: What may be seen. Default: nothing.
    ///   - operates: Whether the hub may be operated. Default: false.
    public init(publish: [Topics] = [], subscribe: [Topics] = [], operates: Bool = false) {
        self.publish = publish
        self.subscribe = subscribe
        self.operates = operates
    }

    /// Reads the rights of a claim.
    ///
    /// - Throws: ``HubClaim/Failure``.
    init(_ members: JSONValue.Members) throws(HubClaim.Failure) {
        // The hub's own reading decides what is valid.
        let claim = try HubClaim(members)
        publish = Self.topics(members["publish"])
        subscribe = Self.topics(members["subscribe"])
        operates = claim.operates
    }

    private static func topics(_ value: JSONValue?) -> [Topics] {
        (value?.array ?? []).compactMap { element -> Topics? in
            if let name = element.string { return (try? Topic(name)).map(Topics.topic) }
            let pattern = element.object?["match"]?.string
            return pattern.flatMap { try? TopicPattern($0) }.map(Topics.pattern)
        }
    }

    /// The claim's JSON.
    var json: String {
        var members: [String] = []
        for (name, topics) in [("publish", publish), ("subscribe", subscribe)] where !topics.isEmpty {
            members.append("\"\(name)\":[\(topics.map(\.json).joined(separator: ","))]")
        }
        if operates { members.append("\"operate\":true") }
        return "{\(members.joined(separator: ","))}"
    }

    /// The rights in words, a line each.
    var lines: [String] {
        func list(_ topics: [Topics]) -> String {
            topics.isEmpty ? "nothing" : topics.map(\.description).joined(separator: ", ")
        }
        return [
            "may publish to: \(list(publish))",
            "may subscribe to: \(list(subscribe))",
            "may operate the hub: \(operates ? "yes" : "no")",
        ]
    }
}
#endif
