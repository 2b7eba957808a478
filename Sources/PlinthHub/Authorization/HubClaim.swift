// SPDX-License-Identifier: Apache-2.0

package import PlinthStreams

/// The rights in a token's claim or in an API key's line: `{"publish":[…],"subscribe":[…],"operate":true}`.
///
/// A string is an exact topic, and `{"match":"orders/*"}` a pattern, so that an issuer that writes a user's name into a
/// topic grants no pattern by accident.
package struct HubClaim: Sendable {
    /// What of a claim cannot be read, in words.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// The most topics and patterns of a claim, all lists together: 1,000.
    package static let maximumSelectors = 1000

    package var publish: [TopicSelector] = []
    package var subscribe: [TopicSelector] = []
    package var operates = false

    package init() {}

    /// Reads a claim; members that it does not know are ignored, as a newer issuer may add some.
    ///
    /// - Throws: ``Failure`` if a member that it knows cannot be read.
    package init(_ members: JSONValue.Members) throws(Failure) {
        publish = try Self.selectors("publish", members)
        subscribe = try Self.selectors("subscribe", members)
        guard publish.count + subscribe.count <= Self.maximumSelectors else {
            throw Failure(description: "there are more than \(Self.maximumSelectors) topics and patterns")
        }
        switch members["operate"] {
        case nil: break
        case .bool(let value): operates = value
        default: throw Failure(description: "`operate` is neither true nor false")
        }
    }

    private static func selectors(_ name: String, _ members: JSONValue.Members) throws(Failure) -> [TopicSelector] {
        guard let value = members[name] else { return [] }
        guard let elements = value.array else { throw Failure(description: "`\(name)` is no list") }
        guard elements.count <= maximumSelectors else {
            throw Failure(description: "`\(name)` has more than \(maximumSelectors) topics and patterns")
        }
        var selectors: [TopicSelector] = []
        for element in elements { selectors.append(try selector(element, name)) }
        return selectors
    }

    private static func selector(_ element: JSONValue, _ name: String) throws(Failure) -> TopicSelector {
        do {
            switch element {
            case .string(let text): return .exact(try Topic(text))
            case .object(let members):
                guard members.all.count == 1, let text = members["match"]?.string else { break }
                return .pattern(try TopicPattern(text))
            default: break
            }
        } catch {
            throw Failure(description: "`\(name)` has an invalid topic or pattern: \(error)")
        }
        throw Failure(description: "an element of `\(name)` is neither a topic in quotes nor {\"match\":\"PATTERN\"}")
    }
}
