// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthHub

/// What a request subscribes to, up to a bound for patterns and one for topics.
///
/// A pattern costs a step for each new topic and for each event that is read in history, and a topic costs memory: a stream
/// that is cheap to ask for must not be dear to serve.
struct StreamSelectors {
    /// More was named than a stream may have: the bound, and the option that sets it.
    struct TooMany: Error {
        let message: String
    }

    private let maximumTopics: Int
    private let maximumPatterns: Int
    private var topics = 0
    private var patterns = 0
    private(set) var selectors: [TopicSelector] = []

    init(maximumTopics: Int, maximumPatterns: Int) {
        self.maximumTopics = maximumTopics
        self.maximumPatterns = maximumPatterns
    }

    /// Adds a topic; one that is named twice counts twice.
    mutating func add(_ topic: Topic) throws(TooMany) {
        topics += 1
        guard topics <= maximumTopics else {
            throw TooMany(
                message: "a stream has at most \(maximumTopics) topics, each a `topic`; more need `--maximum-topics`"
            )
        }
        selectors.append(.exact(topic))
    }

    /// Adds a pattern; one that is named twice counts twice.
    mutating func add(_ pattern: TopicPattern) throws(TooMany) {
        patterns += 1
        guard patterns <= maximumPatterns else {
            throw TooMany(
                message:
                    "a stream has at most \(maximumPatterns) patterns, each a `match`; more need `--maximum-patterns`"
            )
        }
        selectors.append(.pattern(pattern))
    }
}

#endif
