// SPDX-License-Identifier: Apache-2.0

import Plinth
import Synchronization

/// The open streams of each user, one per tab.
final class Registry: Sendable {
    /// Identifies a tab.
    typealias Tab = Int

    private struct State {
        var lastTab: Tab = 0
        var streams: [String: [Tab: EventChannel]] = [:]
    }

    private let state = Mutex(State())

    /// A number for a tab whose stream is about to open.
    func nextTab() -> Tab {
        state.withLock { state in
            state.lastTab += 1
            return state.lastTab
        }
    }

    /// Stores a stream.
    ///
    /// A closed channel is not stored: its client has already left.
    func add(_ events: EventChannel, as tab: Tab, of user: String) {
        state.withLock { state in
            if !events.isClosed { state.streams[user, default: [:]][tab] = events }
        }
    }

    /// Removes a stream that has ended.
    func remove(_ tab: Tab, of user: String) {
        state.withLock { state in
            state.streams[user]?[tab] = nil
            if state.streams[user]?.isEmpty == true { state.streams[user] = nil }
        }
    }

    /// The streams of a user.
    func streams(of user: String) -> [EventChannel] {
        state.withLock { state in state.streams[user].map { Array($0.values) } ?? [] }
    }

    /// The number of stored streams, over all users.
    var count: Int {
        state.withLock { state in state.streams.values.reduce(0) { $0 + $1.count } }
    }
}
