// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import PlinthHub

extension HistoryContract {
    private func key(_ name: String) throws -> IdempotencyKey {
        try unwrap(IdempotencyKey(Array(name.utf8)), "\(name) is no key")
    }

    /// A request that is sent again with its key adds nothing, and gets the first answer again.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func answersKeysAgain() async throws {
        let subject = try await open()
        let (a, b) = (try topic("a"), try topic("b"))
        _ = try await append(AppendRequest([], ending: b), to: subject)
        let requests = [
            AppendRequest([try event("1", "a")], key: try key("k1")),
            AppendRequest([try event("2", "a")], ending: a, key: try key("k2")),
            AppendRequest([], ending: b, key: try key("k3")),
        ]
        for request in requests {
            let first = try await append(request, to: subject)
            try expect(!first.isReplayed, "the first request with a key is answered with \(first)")
            for _ in 0..<2 {
                let again = try await append(request, to: subject)
                let isSame =
                    again.isReplayed && again.ids.isEmpty && again.count == first.count
                    && again.repeated == first.repeated && again.lastID == first.lastID
                try expect(isSame, "\(first) is repeated as \(again)")
            }
        }
        _ = try await delivered(4, by: subject)
    }

    /// A key that stands for another request is refused: another topic, type, reconnection time, end or data.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func refusesReusedKeys() async throws {
        let subject = try await open()
        let key = try key("k")
        let a = try topic("a")
        _ = try await append(AppendRequest([try event("data", "a")], key: key), to: subject)
        func request(_ event: ServerSentEvent) -> AppendRequest {
            AppendRequest([NewEvent(event, topics: [a])], key: key)
        }
        let others = [
            ("another topic", AppendRequest([try event("data", "b")], key: key)),
            ("other data", AppendRequest([try event("Data", "a")], key: key)),
            ("a type", request(ServerSentEvent(type: "t", data: "data"))),
            ("a reconnection time", request(ServerSentEvent(data: "data", retry: .seconds(5)))),
            ("an end", AppendRequest([try event("data", "a")], ending: a, key: key)),
            ("only an end", AppendRequest([], ending: a, key: key)),
        ]
        for (what, other) in others {
            try await expectRefusal(.keyReused, of: other, by: subject, "a key with \(what)")
        }
        _ = try await append([event("last", "a")], to: subject)
        _ = try await delivered(2, by: subject)
    }

    /// Each subject has keys of its own.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func keepsKeysApart() async throws {
        let subject = try await open()
        let subjects = [
            nil, HubSubject(source: "contract", name: "me"),
            HubSubject(source: "contract", issuer: "other", name: "me"),
        ]
        for (number, who) in subjects.enumerated() {
            let request = AppendRequest([try event("\(number)", "a")], key: try key("k"), subject: who)
            let result = try await append(request, to: subject)
            try expect(!result.isReplayed, "the key of another subject is answered with \(result)")
            let again = try await append(request, to: subject)
            try expect(again.isReplayed, "a key sent again is answered with \(again)")
        }
        _ = try await delivered(subjects.count, by: subject)
    }

    /// Only successes are kept under a key.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func keepsNoFailures() async throws {
        let subject = try await open()
        let a = try topic("a")
        _ = try await append(AppendRequest([], ending: a), to: subject)
        let request = AppendRequest([try event("1", "a")], key: try key("k"))
        try await expectRefusal(.topicEnded, of: request, by: subject, "an event of an ended topic")
        _ = try await subject.history.purge(a)
        let result = try await append(request, to: subject)
        try expect(result.count == 1 && !result.isReplayed, "after a refusal, the key is answered with \(result)")
        _ = try await delivered(2, by: subject)
    }

    /// Of concurrent requests with the same key, one is taken; the others get its answer.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func takesKeysOnceWhenRequestsRace() async throws {
        let subject = try await open()
        for round in 0..<10 {
            let request = AppendRequest([try event("\(round)", "a")], key: try key("k\(round)"))
            let results = try await race(request, to: subject)
            let taken = results.count { !$0.isReplayed }
            try expect(taken == 1, "of 8 requests with one key, \(taken) were taken")
            try expect(Set(results.map(\.lastID)).count == 1, "one key has the IDs \(results.map(\.lastID))")
        }
        _ = try await delivered(10, by: subject)
    }

    /// At the bound, a request with a new key is not taken, and known keys are still answered.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func boundsKeys() async throws {
        guard let makeBounded = abilities.makeBounded else { return }
        var quotas = HistoryQuotas()
        quotas.keyBytes = 4096
        let subject = try await open(try await makeBounded(quotas))
        var requests: [AppendRequest] = []
        var isFull = false
        for number in 0..<200 {
            let request = AppendRequest([try event("\(number)", "a")], key: try key("key \(number)"))
            do {
                _ = try await append(request, to: subject)
                requests.append(request)
            } catch let error as HistoryError {
                try expect(error.code == .notTaken, "a key beyond the bound is refused as \(error.code)")
                isFull = true
                break
            }
        }
        try expect(isFull, "200 keys were kept in 4 KiB")
        for request in requests {
            let again = try await append(request, to: subject)
            try expect(again.isReplayed, "at the bound, a known key is answered with \(again)")
        }
        _ = try await append([event("last", "a")], to: subject)
        _ = try await delivered(requests.count + 1, by: subject)
    }

    /// Keys leave by age alone.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func forgetsOldKeys() async throws {
        guard let advance = abilities.advance else { return }
        let subject = try await open()
        let request = AppendRequest([try event("1", "a")], key: try key("k"))
        _ = try await append(request, to: subject)
        try await advance(subject.history, .seconds(590))
        let again = try await append(request, to: subject)
        try expect(again.isReplayed, "a key of 590 s ago is answered with \(again)")
        try await advance(subject.history, .seconds(20))
        let late = try await append(request, to: subject)
        try expect(!late.isReplayed, "a key of 610 s ago is still answered with \(late)")
        _ = try await delivered(2, by: subject)
    }
}
