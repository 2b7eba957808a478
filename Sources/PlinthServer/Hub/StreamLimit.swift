// SPDX-License-Identifier: Apache-2.0

#if Server

import Synchronization

/// How many streams a service has, at most.
final class StreamLimit: Sendable {
    private let maximum: Int
    private let taken = Atomic<Int>(0)

    init(maximum: Int) {
        self.maximum = maximum
    }

    /// How many permits are out.
    var count: Int { taken.load(ordering: .relaxed) }

    /// Room for one stream, if there is any.
    func take() -> StreamPermit? {
        // Taken before it is known to be there, so that of two who come at once no more than one gets the last.
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

/// Room for one stream: until it is released, or until nobody has it any more.
final class StreamPermit: Sendable {
    private let limit: StreamLimit
    private let isReleased = Atomic<Bool>(false)

    fileprivate init(_ limit: StreamLimit) {
        self.limit = limit
    }

    deinit {
        release()
    }

    /// Gives the room to others; called again it does nothing.
    func release() {
        if !isReleased.exchange(true, ordering: .relaxed) { limit.giveBack() }
    }
}

#endif
