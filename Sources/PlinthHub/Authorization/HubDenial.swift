// SPDX-License-Identifier: Apache-2.0

/// A right that a grant lacks.
public struct HubDenial: Error, CustomStringConvertible {
    /// What may not be done.
    public struct Right: Sendable, Hashable, CustomStringConvertible {
        /// The right as text, as tokens name it.
        public let description: String

        /// To publish to topics and to end them.
        public static let publish = Right(description: "publish")
        /// To see topics: their events, ends and marks.
        public static let subscribe = Right(description: "subscribe")
        /// To purge topics, set their limits, read the status and revoke subjects.
        public static let operate = Right(description: "operate")
    }

    /// The most topics that are named: 20.
    public static let maximumTopics = 20

    /// The missing right.
    public let right: Right
    /// The topics that the request named and the grant does not have, at most ``maximumTopics``.
    public let topics: [Topic]
    /// The number of further such topics.
    public let moreTopics: Int

    init(_ right: Right, _ topics: [Topic]) {
        self.right = right
        self.topics = Array(topics.prefix(Self.maximumTopics))
        moreTopics = topics.count - self.topics.count
    }

    /// The missing right and the topics, in words.
    public var description: String {
        guard !topics.isEmpty else { return "there is no grant to \(right)" }
        let names = topics.map(\.name.debugDescription).joined(separator: ", ")
        let more = moreTopics > 0 ? " and \(moreTopics) more" : ""
        return "there is no grant to \(right)\(right == .publish ? " to" : "") \(names)\(more)"
    }
}
