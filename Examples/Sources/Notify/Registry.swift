// SPDX-License-Identifier: Apache-2.0

import Plinth
import Synchronization

/// The open streams of each user: one for each tab that the user has open.
final class Registry: Sendable {
    /// Tells the tabs of a user apart.
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

    /// Keeps a stream to send to.
    ///
    /// A client may be gone again before its stream gets here. Its channel is closed by then, and is not kept: the call
    /// of ``remove(_:of:)`` that belongs to it may already have been made.
    func add(_ events: EventChannel, as tab: Tab, of user: String) {
        state.withLock { state in
            if !events.isClosed { state.streams[user, default: [:]][tab] = events }
        }
    }

    /// Forgets a stream that has ended.
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

    /// The number of streams that are kept, of all users.
    var count: Int {
        state.withLock { state in state.streams.values.reduce(0) { $0 + $1.count } }
    }
}
