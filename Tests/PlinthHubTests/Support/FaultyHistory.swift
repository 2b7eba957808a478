// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import PlinthTestSupport
import Synchronization

@testable import PlinthHub

/// A history that does one thing wrong.
final class FaultyHistory: MemoryBackedHistory {
    enum Fault: String, Sendable, CaseIterable {
        case returnsIDsBackwards, returnsOneID, deliversNothing, deliversTwice, deliversBackwards
        case keepsPartOfABatch, forgetsFailures, losesInjected, ignoresChosenIDs
        case locatesAnything, locatesNothing, locatesFuture, losesFirst, losesLast, looksTooFar, neverAdvances
        case ignoresLimits, ignoresRestriction, normalises, silentTrim, silentPurge, alwaysMissing
        case readsInclusively, differsWithoutWaiting, countsWrong, asksBackInAppend
        case dropsTypes, cutsLargeEvents, readsTwice, turnsTimesBack, showsEverything
        case endsWithoutEntry, takesLateEvents, endsAgain, endsAfterRefusals, namesNoEnds, namesRestrictedEnds
        case trimsEnds, purgesNoEnds, purgesWholeEvents, ignoresQuotas, neverAges
        case ignoresProducers, takesKnownBatchesAgain, fillsHoles, fencesNobody, mixesSubjects
        case purgesProducers, countsNoEnds, returnsNoProducers, asksForHolesFirst, looksBeforeItTakes
        case ignoresKeys, comparesNoDigests, keepsFailures
        case ignoresLimitsOfTopics, reusesIDs, forgetsWhenReopened

        /// Rules that the fault breaks.
        var rules: [String] {
            switch self {
            case .returnsIDsBackwards, .returnsOneID: ["appendReturnsIDsInOrder"]
            case .deliversNothing:
                ["deliversOnceInOrder", "isInHistoryWhenDelivered", "isDeliveredWhenAppendReturns"]
            case .deliversTwice, .deliversBackwards:
                ["deliversOnceInOrder", "deliversOnceInOrderWhenAppendsAreConcurrent"]
            case .keepsPartOfABatch: ["failedAppendLeavesNothing"]
            case .forgetsFailures: ["failedAppendLeavesNothing", "forgetsNumbersOfFailures"]
            case .losesInjected: ["deliversEventsFromElsewhere"]
            case .ignoresChosenIDs: ["keepsChosenIDs"]
            case .locatesAnything, .locatesFuture: ["locatesNoOtherIDs"]
            case .locatesNothing: ["locatesItsIDs", "locatesIDsOfPositions", "locatesIDsOfTrimmedEvents"]
            case .losesFirst, .losesLast: ["readsOneTopic", "readsSeveralTopics", "readsPatterns", "readsAll"]
            case .neverAdvances: ["readsOneTopic", "readsWhileEventsCome"]
            case .looksTooFar, .ignoresLimits: ["readsWithinLimits"]
            case .ignoresRestriction: ["readsRestrictedEventsWhereAllowed"]
            case .normalises: ["comparesTopicsByBytes"]
            case .silentTrim: ["saysWhatIsMissingAfterTrimming"]
            case .silentPurge: ["purgesTopics", "opensPurgedTopicsAgain", "appliesLimitsOfTopics"]
            case .alwaysMissing, .readsInclusively: ["readsNothingBeyondItsHead"]
            case .differsWithoutWaiting: ["answersTheSameWithoutWaiting"]
            case .countsWrong: ["countsWhatItHolds"]
            case .asksBackInAppend: ["isInHistoryWhenAppendReturns"]
            case .dropsTypes: ["keepsEventsAsPublished"]
            case .cutsLargeEvents: ["keepsLargeEvents"]
            case .readsTwice: ["readsEventsOfSeveralTopicsOnce"]
            case .turnsTimesBack: ["keepsTimes"]
            case .showsEverything: ["readsVisibleEventsOnly"]
            case .endsWithoutEntry: ["endsTopics"]
            case .takesLateEvents: ["refusesEventsOfEndedTopics"]
            case .endsAgain: ["endsTopicsOnce"]
            case .endsAfterRefusals: ["endsWithEventsOrNotAtAll"]
            case .namesNoEnds, .namesRestrictedEnds: ["namesEnds"]
            case .trimsEnds: ["keepsEndsWhenTrimming"]
            case .purgesNoEnds: ["opensPurgedTopicsAgain"]
            case .purgesWholeEvents: ["purgesTopics"]
            case .ignoresQuotas: ["boundsEnds", "boundsProducers", "boundsKeys"]
            case .neverAges: ["forgetsOldKeys", "appliesAgesOfTopics"]
            case .ignoresProducers: ["takesNumbersOnce"]
            case .takesKnownBatchesAgain: ["takesTheRestOfAKnownBatch"]
            case .fillsHoles: ["refusesHoles"]
            case .fencesNobody: ["fencesOlderEpochs"]
            case .mixesSubjects: ["keepsProducersApart", "keepsKeysApart"]
            case .purgesProducers: ["keepsProducersOfPurgedTopics"]
            case .countsNoEnds: ["numbersEnds"]
            case .returnsNoProducers: ["returnsProducers"]
            case .asksForHolesFirst: ["checksInOrder"]
            case .looksBeforeItTakes: ["takesNumbersOnceWhenRequestsRace", "takesKeysOnceWhenRequestsRace"]
            case .ignoresKeys: ["answersKeysAgain"]
            case .comparesNoDigests: ["refusesReusedKeys"]
            case .keepsFailures: ["keepsNoFailures"]
            case .ignoresLimitsOfTopics: ["appliesLimitsOfTopics"]
            case .reusesIDs, .forgetsWhenReopened: ["beginsAnEpochWhenOpenedAgain"]
            }
        }
    }

    /// A history that holds too few events.
    static var full: MemoryHistory { MemoryHistory(total: HistoryLimits(events: 20)) }

    let fault: Fault
    let memory: MemoryHistory
    /// Events that were accepted and are not in history yet.
    private let late = Mutex<[NewEvent]>([])
    /// Topics that were purged, with how often.
    private let purges = Mutex<[Topic: UInt8]>([:])
    private let failures = Mutex<[IdempotencyKey: HistoryError]>([:])

    init(_ fault: Fault, _ memory: MemoryHistory) {
        self.fault = fault
        self.memory = memory
    }

    func open(deliver: @escaping @Sendable ([HistoryEntry]) -> Void) async throws -> Position {
        let fault = self.fault
        return try await memory.open { entries in
            switch fault {
            case .deliversNothing: break
            case .deliversTwice:
                deliver(entries)
                deliver(entries)
            case .deliversBackwards: deliver(entries.reversed())
            default: deliver(entries)
            }
        }
    }

    func append(_ request: AppendRequest) async throws -> AppendResult {
        var request = request
        switch fault {
        case .keepsPartOfABatch:
            var ids: [EventID] = []
            for event in request.events { ids += try await memory.append([event]) }
            return AppendResult(ids: ids, lastID: ids[0])
        case .normalises:
            // What a database without a binary collation does to a name.
            request.events = try request.events.map { event in
                let topics = try event.topics.map { try Topic($0.name == "cafe\u{301}" ? "caf\u{e9}" : $0.name) }
                return NewEvent(
                    encoded: event.encoded,
                    topics: topics,
                    isRestricted: event.isRestricted,
                    isEnd: event.isEnd,
                    requestedID: event.requestedID
                )
            }
        case .ignoresChosenIDs:
            request.events = request.events.map { event in
                guard event.requestedID?.isReserved == false else { return event }
                return NewEvent(
                    encoded: event.encoded,
                    topics: event.topics,
                    isRestricted: event.isRestricted,
                    requestedID: nil
                )
            }
        case .asksBackInAppend:
            // Each append adds the events of the previous one to history.
            let before = late.withLock { late in
                defer { late = request.events }
                return late
            }
            if !before.isEmpty { _ = try await memory.append(before) }
            let ids = request.events.indices.map { memory.id(at: Position(UInt64($0 + 1))) }
            return AppendResult(ids: ids, lastID: ids[0])
        case .endsWithoutEntry:
            guard request.endedTopic != nil, !request.onlyEnds else { break }
            request.events.removeLast()
            var result = try await memory.append(request)
            result.ids.append(result.lastID)
            result.count += 1
            return result
        case .ignoresProducers: request.producer = nil
        case .ignoresKeys: request.key = nil
        case .mixesSubjects: request.subject = nil
        case .takesKnownBatchesAgain:
            guard let stamp = request.producer, request.events.count > 1 else { break }
            let state = try await memory.producer(stamp.id, of: request.subject, in: request.events[0].topics[0])
            if state != nil { request.producer = nil }
        case .purgesProducers:
            guard let stamp = request.producer, let count = purges.withLock({ $0[request.events[0].topics[0]] }) else {
                break
            }
            request.producer?.id = ProducerID(stamp.id.bytes + [count]) ?? stamp.id
        case .countsNoEnds:
            guard let topic = request.endedTopic, request.producer != nil, !request.onlyEnds else { break }
            request.events.removeLast()
            var result = try await memory.append(request)
            let end = try await memory.append(AppendRequest([], ending: topic))
            result.ids += end.ids
            result.count += end.count
            result.repeated += end.repeated
            result.lastID = end.lastID
            return result
        case .asksForHolesFirst:
            guard let stamp = request.producer else { break }
            let state = try await memory.producer(stamp.id, of: request.subject, in: request.events[0].topics[0])
            if case .hole(let expected, let isKnown) = ProducerState.order(of: stamp, count: 1, after: state) {
                throw HistoryError.sequenceHole(expected: expected, isKnown: isKnown)
            }
        case .looksBeforeItTakes:
            // All that race have looked before the first of them appends.
            for _ in 0..<100 { await Task.yield() }
            request.producer = nil
            request.key = nil
        case .keepsFailures:
            if let key = request.key, let failure = failures.withLock({ $0[key] }) { throw failure }
        default: break
        }
        var result: AppendResult
        do {
            result = try await memory.append(request)
        } catch let error as HistoryError {
            result = try await resultAfter(error, request)
        }
        switch fault {
        case .endsAgain where result.repeated == 1 && request.onlyEnds:
            _ = try await memory.purge(request.events[0].topics[0])
            return try await memory.append(request)
        case .returnsIDsBackwards: result.ids = result.ids.reversed()
        case .returnsOneID: result.ids = Array(result.ids.prefix(1))
        default: break
        }
        return result
    }

    /// The answer of faults that do not refuse.
    private func resultAfter(_ error: HistoryError, _ request: AppendRequest) async throws -> AppendResult {
        var request = request
        switch (fault, error.code) {
        case (.takesLateEvents, .topicEnded):
            for topic in request.events.flatMap(\.topics) { _ = try await memory.purge(topic) }
            return try await memory.append(request)
        case (.endsAfterRefusals, .idNotAccepted), (.endsAfterRefusals, .idReserved):
            if let end = request.events.last, end.isEnd { _ = try await memory.append([end]) }
        case (.fillsHoles, .sequenceHole), (.fillsHoles, .producerUnknown), (.fencesNobody, .producerFenced):
            request.producer = nil
            return try await memory.append(request)
        case (.comparesNoDigests, .keyReused):
            return AppendResult(ids: [], count: 1, lastID: memory.id(at: Position(1)), isReplayed: true)
        case (.keepsFailures, _):
            if let key = request.key { failures.withLock { $0[key] = error } }
        default: break
        }
        throw error
    }

    func ends(of selection: Selection) async throws -> [TopicEnd] {
        switch fault {
        case .namesNoEnds: []
        case .namesRestrictedEnds: try await memory.ends(of: Selection(selection.wanted))
        default: try await memory.ends(of: selection)
        }
    }

    func producer(_ id: ProducerID, of subject: HubSubject?, in topic: Topic) async throws -> ProducerState? {
        fault == .returnsNoProducers ? nil : try await memory.producer(id, of: subject, in: topic)
    }

    func setLimits(_ limits: TopicLimits, of topic: Topic) async throws -> Bool {
        fault == .ignoresLimitsOfTopics ? true : try await memory.setLimits(limits, of: topic)
    }

    func purge(_ topic: Topic) async throws -> Int {
        switch fault {
        case .purgesNoEnds:
            let ends = try await memory.ends(of: Selection([.exact(topic)]))
            let removed = try await memory.purge(topic)
            if !ends.isEmpty { _ = try await memory.append(AppendRequest([], ending: topic)) }
            return removed
        case .purgesWholeEvents:
            let all = try await memory.read(after: nil, selection: Selection([.exact(topic)]), limit: .none)
            let removed = try await memory.purge(topic)
            for other in all.entries.flatMap(\.topics) { _ = try await memory.purge(other) }
            return removed
        default:
            purges.withLock { $0[topic, default: 0x30] += 1 }
            return try await memory.purge(topic)
        }
    }

    func locate(_ id: EventID) async throws -> Located {
        switch fault {
        case .locatesNothing: return .unknown
        case .locatesAnything: return .found(try await memory.locate(id).position ?? .zero)
        case .locatesFuture:
            let number = UInt64(id.description.split(separator: "-").last ?? "")
            if let number, memory.id(at: Position(number)) == id { return .found(Position(number)) }
            return try await memory.locate(id)
        default: return try await memory.locate(id)
        }
    }

    func read(after position: Position?, selection: Selection, limit: ReadLimit) async throws -> HistoryBatch {
        var position = position
        var limit = limit
        var selection = selection
        if fault == .ignoresLimits { limit = .none }
        if fault == .showsEverything, !selection.visible.contains(where: \.isAll) { selection = Selection([.all]) }
        if fault == .ignoresRestriction { selection = Selection(selection.wanted) }
        if fault == .readsInclusively, let number = position?.number, number > 0 { position = Position(number - 1) }
        var batch = try await memory.read(after: position, selection: selection, limit: limit)
        switch fault {
        case .losesFirst where batch.entries.count > 2: batch.entries.removeFirst()
        case .losesLast where batch.entries.count > 2: batch.entries.removeLast()
        case .looksTooFar: if !batch.entries.isEmpty { batch.through.number += 1 }
        case .neverAdvances: batch.through = position ?? .zero
        case .silentTrim, .silentPurge: batch.missingThrough = nil
        case .alwaysMissing: batch.missingThrough = batch.through
        case .trimsEnds: batch.entries.removeAll { $0.isEnd }
        case .readsTwice: batch.entries = batch.entries.flatMap { $0.topics.count > 1 ? [$0, $0] : [$0] }
        case .dropsTypes, .cutsLargeEvents, .turnsTimesBack: batch.entries = batch.entries.map(changed)
        default: break
        }
        return batch
    }

    /// The entry as faults keep it.
    private func changed(_ entry: HistoryEntry) -> HistoryEntry {
        let event = entry.event
        let type = fault == .dropsTypes ? nil : event.type
        let data = fault == .cutsLargeEvents ? String(event.data.prefix(1000)) : event.data
        let published =
            fault == .turnsTimesBack ? entry.published - .seconds(Double(entry.position.number)) : entry.published
        let changed = (try? ServerSentEvent(type: type, data: data, retry: event.retry)) ?? event
        let new = NewEvent(changed, topics: entry.topics, isRestricted: entry.isRestricted)
        return HistoryEntry(new, position: entry.position, id: entry.id, published: published)
    }

    func readNow(after position: Position?, selection: Selection, limit: ReadLimit) -> HistoryBatch? {
        guard fault == .differsWithoutWaiting else { return nil }
        return memory.readNow(after: position, selection: Selection([.all]), limit: limit)
    }

    func statistics() async throws -> HistoryStatistics {
        var statistics = try await memory.statistics()
        if fault == .countsWrong { statistics.events += 1 }
        return statistics
    }
}
