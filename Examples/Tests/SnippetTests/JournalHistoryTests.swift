// SPDX-License-Identifier: Apache-2.0

import Foundation
import Plinth
import PlinthHub
import PlinthHubTesting
import Testing

@testable import Snippets

@Suite("The history of the article")
struct JournalHistoryTests {
    /// The directory of all journals, removed when the tests end.
    private static let directory: String = {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("journals-\(UUID().uuidString)").path
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        atexit { try? FileManager.default.removeItem(atPath: JournalHistoryTests.directory) }
        return path
    }()

    private static func path() -> String { "\(directory)/\(UUID().uuidString)" }

    @Test("A history written outside the package keeps the contract", arguments: HistoryContract.all)
    func contract(rule: HistoryContract.Rule) async throws {
        var abilities = HistoryContract.Abilities()
        abilities.reopen = { history in
            let journal = try #require(history as? JournalHistory)
            return try JournalHistory(path: journal.path)
        }
        try await HistoryContract(abilities: abilities) { try JournalHistory(path: Self.path()) }.check(rule)
    }

    @Test("A journal opened again has its events, their IDs and their time")
    func reopened() async throws {
        let path = Self.path()
        let topic = try Topic("news")
        var event = ServerSentEvent(type: "headline", data: "one\ntwo", retry: .seconds(3))
        let id = try await Hub(history: JournalHistory(path: path)).publish(event, to: topic)
        let hub = try await Hub(history: JournalHistory(path: path))
        event = try event.withID(.init(id.description))
        let found = try await hub.subscribe(to: .exact(topic), from: .earliest) { updates in
            for try await case .event(let found) in updates { return found }
            throw CancellationError()
        }
        #expect(found.event == event)
        let age = found.entry.published.duration(to: .now)
        #expect(age > .zero && age < .seconds(3600))
        let next = try await hub.publish(ServerSentEvent(data: "three"), to: topic)
        #expect(next.description.hasSuffix("-2"))
    }
}
