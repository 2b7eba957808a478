// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import PlinthHub
import PlinthStreams
import Synchronization

extension HistoryWriter {
    /// Commits appends and answers them.
    func commit(_ appends: [PendingAppend]) {
        state.withLock { state in
            if let refusal = refusal(&state) {
                for append in appends { append.finish(.failure(refusal)) }
                return
            }
            var batch = AppendBatch()
            do {
                let time = clock.read()
                let isFull = isFileFull(state)
                let removes = time.monotonic >= state.nextRemoval
                try transaction(&state) { store, db in
                    let commands = try InsertCommands(db)
                    // Not before: until then an append that waits too long is not taken.
                    for append in appends where append.take() {
                        try batch.add(append, to: &store, at: time, commands, db)
                    }
                    var budget = store.changes.count * 2 + 16
                    try removeDue(&store, &budget, now: nil, isFileFull: isFull, isAllowed: removes, db)
                }
            } catch {
                guard case Failure.unknown = error, settle(&state) else {
                    let error = publisherError(error, state)
                    for append in appends { append.finish(.failure(error)) }
                    return
                }
            }
            share(state)
            batch.answer()
            copyLogIfLarge(&state)
        }
    }

    /// Finds out whether a transaction was committed whose commit failed: the file is opened again, as after a crash.
    private func settle(_ state: inout State) -> Bool {
        guard state.mustReopen, !state.unsettled.isEmpty else { return false }
        state.wasCommitted = false
        state.nextAttempt = MonotonicTime(nanoseconds: .min)
        guard (try? prepare(&state)) != nil else { return false }
        return state.wasCommitted
    }

    /// Takes note of what an application's transactions have added, once for all that were committed meanwhile.
    func catchUp() {
        isBehind.store(false, ordering: .relaxed)
        state.withLock { state in
            guard state.connection != nil else { return }
            // A failure is logged; the next transaction catches up.
            try? transaction(&state) { _, _ in }
            share(state)
        }
    }
}

/// The appends of one transaction, with their answers.
private struct AppendBatch {
    private var answers: [(append: PendingAppend, result: Result<AppendResult, any Error>)] = []

    /// Appends a request's events; a refusal is its answer.
    ///
    /// - Throws: An error of the database: the transaction is to be rolled back.
    mutating func add(
        _ append: PendingAppend,
        to store: inout HistoryStore,
        at time: StoreClock.Reading,
        _ commands: InsertCommands,
        _ db: Database
    ) throws {
        do {
            answers.append((append, .success(try store.append(append.request, at: time, commands, db))))
        } catch let error as HistoryError {
            answers.append((append, .failure(error)))
        }
    }

    func answer() {
        for (append, result) in answers { append.finish(result) }
    }
}
#endif
