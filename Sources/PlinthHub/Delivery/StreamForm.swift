// SPDX-License-Identifier: Apache-2.0

/// How a subscriber's stream is written.
package struct StreamForm: Sendable, Hashable {
    /// Whether the body is chunked (RFC 9112, section 7.1) or bare.
    package var isChunked: Bool
    /// Whether each ID is followed by a tab and the event's topic.
    package var namesTopic: Bool

    package init(isChunked: Bool, namesTopic: Bool) {
        self.isChunked = isChunked
        self.namesTopic = namesTopic
    }
}
