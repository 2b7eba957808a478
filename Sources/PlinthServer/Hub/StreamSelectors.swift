// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthHub

/// The selectors of a subscription, with separate bounds for topics and patterns.
///
/// A pattern costs a step for each new topic and for each event read from history; a topic costs memory. The bounds
/// keep cheap requests from causing expensive streams.
struct StreamSelectors {
    /// A stream has more selectors than allowed; the message has the bound and its option.
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

    /// Adds a topic; a repeated one counts again.
    mutating func add(_ topic: Topic) throws(TooMany) {
        topics += 1
        guard topics <= maximumTopics else {
            throw TooMany(
                message: "a stream may have at most \(maximumTopics) topics; for more, raise `--maximum-topics`"
            )
        }
        selectors.append(.exact(topic))
    }

    /// Adds a pattern; a repeated one counts again.
    mutating func add(_ pattern: TopicPattern) throws(TooMany) {
        patterns += 1
        guard patterns <= maximumPatterns else {
            throw TooMany(
                message:
                    "a stream may have at most \(maximumPatterns) patterns; for more, raise `--maximum-patterns`"
            )
        }
        selectors.append(.pattern(pattern))
    }
}

#endif
