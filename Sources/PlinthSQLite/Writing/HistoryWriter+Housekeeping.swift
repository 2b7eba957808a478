// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import Logging
import PlinthHub
import PlinthStreams
import Synchronization

extension HistoryWriter {
    /// Removes what limits and ages no longer allow, and stores what may be stored late.
    ///
    /// - Returns: Whether there is more to do.
    func keepHouse() -> Bool {
        state.withLock { state in
            guard state.hasStarted, !state.isClosed else { return false }
            checkIdentity(&state)
            defer { share(state) }
            do {
                try prepare(&state)
                returnRoom(&state)
                copyLogIfLarge(&state)
                return try keepHouse(&state)
            } catch {
                return false
            }
        }
    }

    private func keepHouse(_ state: inout State) throws -> Bool {
        let time = clock.read()
        let ageing = isClockSteady(time, &state) ? time : nil
        let isFull = isFileFull(state)
        let sweep = state.sweep
        let forgets = state.hasOldKeys || time.monotonic.nanoseconds &- state.storedRunning.nanoseconds > 10_000_000_000
        let removes = time.monotonic >= state.nextRemoval
        // No copy of the store, which would be changed in its place.
        guard sweep != nil || isFull || state.hasOldKeys || state.store?.needsHouseKeeping(forgets: forgets) ?? false
        else { return false }
        let (isDone, next, hasOldKeys) = try transaction(&state) { store, db in
            var budget = Self.step
            let next = try sweep.flatMap { try store.sweep(after: $0, time, db) }
            try removeDue(&store, &budget, now: ageing, isFileFull: isFull, isAllowed: removes, db)
            let areStored = try store.topics.storeSome(Self.step, db)
            try store.findOldest(db)
            let hasOldKeys = try forgets && !store.forgetRecords(time, db)
            return (budget > 0 && areStored, next, hasOldKeys)
        }
        state.sweep = next
        state.hasOldKeys = hasOldKeys
        if forgets { state.storedRunning = time.monotonic }
        state.reserve?.restore()
        return !isDone || next != nil || hasOldKeys
    }

    /// Whether the calendar's clock has run as the other one: ages mean nothing after it was set.
    private func isClockSteady(_ time: StoreClock.Reading, _ state: inout State) -> Bool {
        let offset = time.wall &- time.monotonic.nanoseconds
        let difference = offset.subtractingReportingOverflow(state.clockOffset ?? offset)
        let isSteady = !difference.overflow && abs(difference.partialValue) < 300_000_000_000
        if isSteady == state.hasClockJumped {
            state.hasClockJumped = !isSteady
            if isSteady {
                options.logger.notice("the system's clock is as before: events expire by age again")
            } else {
                options.logger.warning(
                    "the system's clock has jumped by more than 5 minutes: no event expires by age until it is back, or the process restarts",
                    metadata: ["seconds": "\(difference.partialValue / 1_000_000_000)"]
                )
            }
        }
        return isSteady
    }
}
#endif
