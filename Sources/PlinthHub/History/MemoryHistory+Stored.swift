// SPDX-License-Identifier: Apache-2.0

package import PlinthStreams
import Synchronization

/// A change of a stored history, in the order of its transactions.
package enum StoredChange: Sendable {
    /// An entry was added.
    case insert(HistoryEntry)
    /// A topic's end was removed.
    case open(Topic)
}

/// A memory history as the recent part of one that is stored elsewhere.
///
/// It numbers nothing and decides nothing: it holds what has been stored, up to its limits, and answers what it can.
/// What it no longer holds may still be stored.
extension MemoryHistory {
    /// Creates the recent part of a stored history.
    ///
    /// - Parameters:
    ///   - topic: The limits of each topic, those of the stored history.
    ///   - total: How much to hold in memory.
    ///   - now: The time.
    package convenience init(
        recentOf topic: HistoryLimits,
        total: HistoryLimits,
        now: @escaping @Sendable () -> MonotonicTime
    ) {
        var quotas = HistoryQuotas()
        quotas.limitedTopics = .max
        self.init(topic: topic, total: total, quotas: quotas, token: HistoryEpochs.randomToken(), now: now)
    }

    /// Continues after what is stored: nothing of it is in memory but the ends.
    package func continueStored(_ epochs: HistoryEpochs, head: Position, ends: [HistoryEntry]) {
        state.withLock { $0.continueStored(epochs, head: head, ends: ends) }
    }

    /// Takes over what was changed in the store, and delivers its entries; those up to the head are already there.
    package func apply(_ changes: [StoredChange]) {
        guard !changes.isEmpty else { return }
        let now = self.now()
        state.withLock { state in
            let new = state.apply(changes, now: now)
            if !new.isEmpty { state.deliver?(new) }
        }
    }

    /// Removes the entries and the limits of a topic that was purged.
    package func forget(_ topic: Topic) { state.withLock { _ = $0.purge(topic) } }

    /// Sets the limits of a topic.
    package func set(_ limits: TopicLimits, of topic: Topic) {
        let now = self.now()
        // The quota is that of the stored history.
        state.withLock { _ = try? $0.setLimits(limits, of: topic, now: now) }
    }

    /// Reads events after a position, if all that may be wanted is in memory; else costs next to nothing.
    ///
    /// - Returns: The events; nil if some of them may be stored only.
    package func readIfComplete(
        after position: Position?,
        selection: Selection,
        limit: ReadLimit
    ) -> HistoryBatch? {
        guard !state.withLock({ $0.mayLack(after: position, selection) }) else { return nil }
        // What is removed meanwhile is reported by the read itself.
        let batch = readNow(after: position, selection: selection, limit: limit)
        return batch?.missingThrough == nil ? batch : nil
    }

    /// The position of the last entry.
    package var head: Position { state.withLock { $0.head } }
}
