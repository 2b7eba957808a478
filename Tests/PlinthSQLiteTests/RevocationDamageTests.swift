// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Foundation
import GRDB
import PlinthHub
import PlinthSQLite
import PlinthTestSupport
import Testing

@Suite("SQLite history: damaged revocations")
struct RevocationDamageTests {
    private let files = TemporaryFiles()
    private let clock = TestClock()

    private static func revocation(_ number: Int) -> HubRevocation {
        .test("user-\(number)", issuer: number % 3 == 0 ? "issuer" : nil, time: Double(number))
    }

    /// Saves revocations in a new file, and closes it.
    private static func fill(_ files: TemporaryFiles, _ clock: TestClock, count: Int) async throws {
        let history = files.history(clock)
        _ = try await history.open { _ in }
        let store = SQLiteRevocationStore(history)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<count {
                group.addTask { try await store.save(revocation(number), now: .test(0)) }
            }
            try await group.waitForAll()
        }
        await history.close()
    }

    @Test(
        "A hub does not start with a damaged revocation, and says why",
        arguments: [
            "name = CAST('user-x' AS BLOB)", "name = 'user-1'", "issuer = x'0161'", "issuer = x''", "time = time - 1",
            "hold = hold - 1", "until = 0", "until = until | (1 << 63)", "checksum = checksum + 1",
        ]
    )
    func values(_ change: String) async throws {
        try await Self.fill(files, clock, count: 4)
        // One with an issuer.
        try files.execute("UPDATE plinth_revocation SET \(change) WHERE name = CAST('user-3' AS BLOB)")
        let history = files.again(clock)
        _ = try await history.open { _ in }
        let error = await #expect(throws: SQLiteHistoryError.self) {
            _ = try await HubRevocations(store: SQLiteRevocationStore(history), maximumLifetime: .seconds(3600))
        }
        #expect(error?.code == .damaged)
        #expect(error?.description.contains("\(files.lastPath) is damaged") == true)
        // Events are not concerned.
        _ = try await history.append(AppendRequest([try .test("1", "a")]))
        await history.close()
    }

    @Test("A damaged time removes no revocation, and saving it again repairs it")
    func removal() async throws {
        try await Self.fill(files, clock, count: 1)
        try files.execute("UPDATE plinth_revocation SET until = 1")
        let history = files.again(clock)
        _ = try await history.open { _ in }
        let store = SQLiteRevocationStore(history)
        try await store.save(.test("other"), now: .test(100))
        await #expect(throws: SQLiteHistoryError.self) { try await store.revocations() }
        try await store.save(Self.revocation(0), now: .test(100))
        #expect(try await Set(store.revocations()) == [Self.revocation(0), .test("other")])
        await history.close()
    }

    private static let original = Task {
        let files = TemporaryFiles()
        try await fill(files, TestClock(), count: 1000)
        return [UInt8](try Data(contentsOf: URL(fileURLWithPath: files.lastPath)))
    }

    private func damage(_ file: inout [UInt8], _ random: inout SeededGenerator) -> String {
        let size = 4096
        let pages = file.count / size
        func page() -> Int { 1 + random.number(below: pages - 1) }
        switch random.number(below: 4) {
        case 0:
            let bits = (0...random.number(below: 3)).map { _ in random.number(below: file.count * 8) }
            for bit in bits { file[bit / 8] ^= 1 << (bit % 8) }
            return "bits \(bits)"
        case 1:
            // How many rows there are, and where.
            let (page, byte) = (page(), random.number(below: 24))
            file[page * size + byte] ^= 1 << random.number(below: 8)
            return "head of page \(page)"
        case 2:
            let (from, to) = (page(), page())
            file.replaceSubrange((to * size)..<((to + 1) * size), with: file[(from * size)..<((from + 1) * size)])
            return "page \(from) over \(to)"
        default:
            let zeroed = page()
            for index in (zeroed * size)..<((zeroed + 1) * size) { file[index] = 0 }
            return "page \(zeroed) of zeros"
        }
    }

    @Test("Of a damaged file either all revocations are read, or none and it is said", arguments: 0..<80)
    func pages(_ seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        var file = try await Self.original.value
        let what = "seed \(seed), \(damage(&file, &random))"
        try Data(file).write(to: URL(fileURLWithPath: files.path()))
        var options = SQLiteHistoryOptions()
        options.logger = LogRecord().logger
        let history = files.again(options, clock)
        do {
            _ = try await history.open { _ in }
            let revocations = try await SQLiteRevocationStore(history).revocations()
            #expect(revocations.count == 1000, "\(what)")
            #expect(Set(revocations) == Set((0..<1000).map(Self.revocation)), "\(what)")
        } catch {
            #expect(error is SQLiteHistoryError, "\(what): \(error)")
        }
        await history.close()
    }
}
#endif
