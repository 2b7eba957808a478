// SPDX-License-Identifier: Apache-2.0

import PlinthStreams

/// The topics that the URL of a hub's endpoint names, and which of them have ended.
struct HubTopics: Equatable {
    /// Whether the URL is that of one topic, `topics/NAME`, rather than `topics?topic=…`.
    let isSingle: Bool
    /// Exact topics, in order.
    private(set) var names: [String]
    /// Whether patterns select further topics, so that the stream does not end by itself.
    private(set) var hasPatterns = false
    private var ended: Set<[UInt8]> = []
    /// The URL up to `topics`.
    private let base: String
    /// The parameters besides `topic`.
    private let others: [Substring]

    /// Parses a URL; nil if its path does not have the form of a hub's.
    ///
    /// - Parameters:
    ///   - url: The URL.
    ///   - form: The form in the request's body; nil for none.
    init?(_ url: String, form: [UInt8]? = nil) {
        let url = url.prefix { $0 != "#" }
        let parts = url.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let parameters = parts.count < 2 ? [] : parts[1].split(separator: "&")
        guard let start = url.firstRange(of: "://")?.upperBound else { return nil }
        let path = parts[0][start...]
        guard path.contains("/") else { return nil }
        if let range = path.firstRange(of: "/topics/") {
            guard let name = Self.decoded(path[range.upperBound...], isForm: false), !name.isEmpty else { return nil }
            isSingle = true
            names = [name]
            base = String(url[..<range.upperBound].dropLast())
            others = parameters
            return
        }
        guard path.hasSuffix("/topics") else { return nil }
        isSingle = false
        names = []
        base = String(parts[0])
        others = parameters.filter { !$0.hasPrefix("topic=") }
        let sent = form.map { String(decoding: $0, as: UTF8.self).split(separator: "&") } ?? []
        for parameter in parameters + sent {
            if parameter.hasPrefix("match=") { hasPatterns = true }
            guard parameter.hasPrefix("topic=") else { continue }
            guard let name = Self.decoded(parameter.dropFirst("topic=".count), isForm: true) else { return nil }
            if !names.contains(name) { names.append(name) }
        }
    }

    private static func decoded(_ text: Substring, isForm: Bool) -> String? {
        PercentEncoding.decode(Array(text.utf8)[...], plusIsSpace: isForm)
            .flatMap { String(validating: $0, as: UTF8.self) }
    }

    /// The URL of a publish to these topics and others.
    func url(adding topics: [String]) -> String {
        var all = names
        for topic in topics where !all.contains(topic) { all.append(topic) }
        let query = all.map { "topic=\(PercentEncoding.encode($0))" } + others.map(String.init)
        return "\(base)?\(query.joined(separator: "&"))"
    }

    /// Records the end of a topic.
    ///
    /// - Returns: Whether no event can follow: all topics have ended, and there are no patterns.
    mutating func end(_ topic: String) -> Bool {
        ended.insert(Array(topic.utf8))
        return !hasPatterns && !names.isEmpty && names.allSatisfy { ended.contains(Array($0.utf8)) }
    }
}
