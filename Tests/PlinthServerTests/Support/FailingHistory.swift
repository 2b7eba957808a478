// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthHub
import PlinthTestSupport
import Synchronization

/// A history that answers nothing without waiting, and refuses events after the first `count`.
final class FailingHistory: MemoryBackedHistory {
    struct Full: Error {}

    let memory = MemoryHistory()
    private let room: Mutex<Int>

    init(after count: Int) {
        room = Mutex(count)
    }

    func append(_ request: AppendRequest) async throws -> AppendResult {
        let count = request.events.count
        let isTaken = room.withLock { room in
            guard room >= count else { return false }
            room -= count
            return true
        }
        guard isTaken else { throw Full() }
        return try await memory.append(request)
    }
}

#endif
