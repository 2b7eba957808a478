// SPDX-License-Identifier: Apache-2.0

#if SQLite
import PlinthHub
import Synchronization

extension HistoryWriter {
    /// One step of purging a topic.
    ///
    /// - Returns: The number of entries removed, and whether the topic has no more.
    func purge(_ topic: Topic) throws -> (removed: Int, isDone: Bool) {
        try state.withLock { state in
            do {
                let result = try transaction(&state) { store, db -> (removed: Int, isDone: Bool) in
                    var removed = try store.removeEvents(of: topic, limit: Self.step, db)
                    let isDone = removed < Self.step
                    if isDone {
                        try store.removeLimits(of: topic, db)
                        if try store.removeEnd(of: topic, db) { removed += 1 }
                    }
                    return (removed, isDone)
                }
                if result.isDone { recent.forget(topic) }
                share(state)
                return result
            } catch {
                throw publisherError(error, state)
            }
        }
    }

    func setLimits(_ limits: TopicLimits, of topic: Topic) throws -> Bool {
        try state.withLock { state in
            let time = clock.read()
            var refusal: HistoryError?
            let isNew: Bool
            do {
                isNew = try transaction(&state) { store, db in
                    do {
                        return try store.setLimits(limits, of: topic, time, db)
                    } catch let error as HistoryError {
                        refusal = error
                        return false
                    }
                }
            } catch {
                throw publisherError(error, state)
            }
            if let refusal { throw refusal }
            recent.set(limits, of: topic)
            share(state)
            return isNew
        }
    }

    /// What is known of a producer: as durable as an acknowledged append, since no transaction is under way.
    func producer(_ id: ProducerID, of subject: HubSubject?, in topic: Topic) throws -> ProducerState? {
        try state.withLock { state in
            do {
                try prepare(&state)
            } catch {
                throw publisherError(error, state)
            }
            guard let store = state.store else { return nil }
            let epochs = store.epochs
            return store.ledger.producer(id, of: subject, in: topic, id: epochs.id(at:))
        }
    }
}
#endif
