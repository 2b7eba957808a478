// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Foundation
import PlinthHub
import PlinthHubTesting
import PlinthSQLite
import PlinthStreams
import Synchronization
import Testing

@Suite("SQLite history: contract")
struct SQLiteContractTests {
    @Test("A history in SQLite keeps the contract", arguments: HistoryContract.all)
    func contract(rule: HistoryContract.Rule) async throws {
        let files = TemporaryFiles()
        let clock = TestClock()
        var abilities = HistoryContract.Abilities()
        abilities.makeTrimming = { events in
            var options = SQLiteHistoryOptions()
            options.topic = HistoryLimits(events: events)
            options.total = HistoryLimits(events: events)
            return files.history(options, clock)
        }
        abilities.makeBounded = { quotas in
            var options = SQLiteHistoryOptions()
            options.quotas = quotas
            return files.history(options, clock)
        }
        abilities.advance = { _, time in clock.advance(by: time) }
        abilities.reopen = { history in
            await (history as? SQLiteHistory)?.close()
            return files.again(clock)
        }
        try await HistoryContract(abilities: abilities) { files.history(SQLiteHistoryOptions(), clock) }.check(rule)
    }
}
#endif
