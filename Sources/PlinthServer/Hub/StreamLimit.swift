// SPDX-License-Identifier: Apache-2.0

#if Server

import Synchronization

/// Limits the number of a service's streams.
final class StreamLimit: Sendable {
    private let maximum: Int
    private let taken = Atomic<Int>(0)

    init(maximum: Int) {
        self.maximum = maximum
    }

    /// The number of permits taken.
    var count: Int { taken.load(ordering: .relaxed) }

    /// Takes a permit for one stream; nil at the limit.
    func take() -> StreamPermit? {
        // Added before the check, so that two concurrent calls cannot both get the last permit.
        guard taken.add(1, ordering: .relaxed).newValue <= maximum else {
            taken.subtract(1, ordering: .relaxed)
            return nil
        }
        return StreamPermit(self)
    }

    fileprivate func giveBack() {
        taken.subtract(1, ordering: .relaxed)
    }
}

/// A permit for one stream, returned by `release()` or `deinit`.
final class StreamPermit: Sendable {
    private let limit: StreamLimit
    private let isReleased = Atomic<Bool>(false)

    fileprivate init(_ limit: StreamLimit) {
        self.limit = limit
    }

    deinit {
        release()
    }

    /// Returns the permit; further calls do nothing.
    func release() {
        if !isReleased.exchange(true, ordering: .relaxed) { limit.giveBack() }
    }
}

#endif
