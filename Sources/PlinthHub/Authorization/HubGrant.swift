// SPDX-License-Identifier: Apache-2.0

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// What somebody may do with a hub: which topics they may publish to, which they may see, and whether they operate it.
///
/// An authorizer creates it for a request; a ``HubTokenVerifier`` creates it for a token. It knows no server, and
/// decides alike for every front and every operation: ``selection(of:)`` for streams, replays, gaps, ends, marks,
/// counts and long-polls, ``permitPublishing(to:)`` and ``permitOperating()`` for the rest.
///
/// ```swift
/// HubGrant(
///     subject: "user-7",
///     publish: [.exact(own)],
///     subscribe: [.exact(own), .pattern(team)],
///     expires: session.end
/// )
/// ```
public struct HubGrant: Sendable {
    /// The selectors in the form in which topics are looked up; shared by all copies of the grant.
    private final class Rights: Sendable {
        let publish: [TopicSelector]
        let subscribe: [TopicSelector]
        let restricted: [TopicSelector]
        let publishable: Selection?
        let visible: Selection?
        let allowed: Selection?

        init(_ publish: [TopicSelector], _ subscribe: [TopicSelector], _ restricted: [TopicSelector]?) {
            self.publish = publish
            self.subscribe = subscribe
            self.restricted = restricted ?? subscribe
            publishable = Self.topics(publish)
            visible = Self.topics(subscribe)
            allowed = restricted.map(Self.topics) ?? visible
        }

        /// Nil for all topics.
        private static func topics(_ selectors: [TopicSelector]) -> Selection? {
            selectors.contains(where: \.isEverything) ? nil : Selection(selectors)
        }

        static let everything = Rights([.all], [.all], nil)
        static let nothing = Rights([], [], nil)
    }

    private let rights: Rights
    /// Who it is; nil for an anonymous request.
    ///
    /// Producers, idempotency keys, ended topics and limits are counted by subject. Where a right is missing, an
    /// anonymous request is asked for credentials (401), and a known subject is refused (403).
    public var subject: HubSubject?
    /// Whether the subject operates the hub: it may purge topics, set their limits, read the status and revoke
    /// subjects.
    ///
    /// That includes neither publishing nor subscribing.
    public var operates: Bool
    /// When the grant ends, and with it each stream, upload and long-poll that it opened; nil for never.
    public var expires: Date?
    /// When the credential was issued; nil if that is unknown.
    ///
    /// A revocation of the subject ends the grants that were issued before it, and those of unknown age.
    public var issued: Date?
    /// Names the key that vouches for it, such as a JWT's `kid`: when the key is withdrawn, its streams end; nil if there
    /// is none.
    public var keyID: String?
    /// The application's value for the request, such as its user.
    ///
    /// Streams carry it to the hub's observer, in ``HubStream/attachment``.
    public var attachment: (any Sendable)?

    /// Creates a grant.
    ///
    /// - Parameters:
    ///   - subject: Who it is. Default: nil, an anonymous request.
    ///   - publish: The topics that it may publish to and end. Default: none.
    ///   - subscribe: The topics that it may see; no event, end, gap or count of others reaches it. Default: none.
    ///   - restricted: The topics whose restricted events it may receive, of those that it may see. Default: nil, all
    ///     of those.
    ///   - operates: Whether it operates the hub. Default: false.
    ///   - expires: When it ends. Default: nil, never.
    ///   - issued: When its credential was issued. Default: nil, unknown.
    ///   - attachment: The application's value. Default: nil.
    public init(
        subject: HubSubject? = nil,
        publish: [TopicSelector] = [],
        subscribe: [TopicSelector] = [],
        restricted: [TopicSelector]? = nil,
        operates: Bool = false,
        expires: Date? = nil,
        issued: Date? = nil,
        attachment: (any Sendable)? = nil
    ) {
        let isEmpty = publish.isEmpty && subscribe.isEmpty && restricted == nil
        self.init(isEmpty ? .nothing : Rights(publish, subscribe, restricted), subject, operates, attachment)
        self.expires = expires
        self.issued = issued
    }

    private init(_ rights: Rights, _ subject: HubSubject?, _ operates: Bool, _ attachment: (any Sendable)?) {
        self.rights = rights
        self.subject = subject
        self.operates = operates
        self.attachment = attachment
    }

    /// A grant of every operation on every topic.
    ///
    /// - Parameters:
    ///   - subject: Who it is. Default: nil, an anonymous request.
    ///   - attachment: The application's value for the request. Default: nil.
    /// - Returns: The grant.
    public static func everything(subject: HubSubject? = nil, attachment: (any Sendable)? = nil) -> HubGrant {
        HubGrant(.everything, subject, true, attachment)
    }

    /// The topics that it may publish to and end.
    public var publish: [TopicSelector] { rights.publish }
    /// The topics that it may see.
    public var subscribe: [TopicSelector] { rights.subscribe }
    /// The topics whose restricted events it may receive, of those that it may see.
    public var restricted: [TopicSelector] { rights.restricted }
}

// MARK: - The decision

extension HubGrant {
    /// Decides whether events may be published to topics, or topics ended.
    ///
    /// - Parameter topics: All topics of the request.
    /// - Throws: ``HubDenial`` with the topics that are not granted.
    public func permitPublishing(to topics: [Topic]) throws(HubDenial) {
        guard let publishable = rights.publishable else { return }
        let denied = topics.filter { !publishable.wants($0) }
        guard denied.isEmpty, !publish.isEmpty else { throw HubDenial(.publish, denied) }
    }

    /// The selection of what is wanted and may be seen, for everything that reads: streams, replays, gaps, ends, marks,
    /// counts and long-polls.
    ///
    /// - Parameter wanted: The selectors of the request.
    /// - Returns: The selection; what a pattern matches and may not be seen is left out of it.
    /// - Throws: ``HubDenial`` if the grant sees nothing at all, or with the exact topics that it does not see.
    public func selection(of wanted: [TopicSelector]) throws(HubDenial) -> Selection {
        if let visible = rights.visible {
            let denied = wanted.compactMap { selector -> Topic? in
                guard case .exact(let topic) = selector.kind, !visible.wants(topic) else { return nil }
                return topic
            }
            guard denied.isEmpty, !subscribe.isEmpty else { throw HubDenial(.subscribe, denied) }
        }
        return Selection(wanted, (subscribe, rights.visible), (restricted, rights.allowed))
    }

    /// Whether a topic may be seen.
    public func sees(_ topic: Topic) -> Bool { rights.visible?.wants(topic) ?? true }

    /// Whether a topic may be published to.
    public func publishes(to topic: Topic) -> Bool { rights.publishable?.wants(topic) ?? true }

    /// Decides whether the hub may be operated: purges, limits of topics, its status and revocations.
    ///
    /// - Throws: ``HubDenial``.
    public func permitOperating() throws(HubDenial) {
        guard operates else { throw HubDenial(.operate, []) }
    }

    /// Whether it has ended at a time.
    public func hasExpired(at now: Date) -> Bool { expires.map { now >= $0 } ?? false }
}
