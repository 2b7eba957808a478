// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import PlinthCLI

@Suite("ProducerNumbers")
struct ProducerNumbersTests {
    private func batch(_ ids: String?...) throws -> EventLines.Batch {
        var lines = EventLines(.json)
        var batch = EventLines.Batch()
        for id in ids {
            let line = "{\"data\":\"x\",\"id\":\(id.map { "\"\($0)\"" } ?? "null")}\n"
            try lines.append(Array(line.utf8), to: &batch)
        }
        return batch
    }

    /// Numbers as a run leaves them that was killed with `ids` under way, of which the first has the number 5.
    private func killed(with ids: [String?], taken: [String] = []) -> ProducerNumbers {
        ProducerNumbers(
            "p",
            epoch: 1,
            next: 5 + UInt64(ids.count),
            mark: "f-4",
            underWay: ids.enumerated().map { .init(sequence: 5 + UInt64($0), id: $1) },
            taken: taken
        )
    }

    private func stamp(_ epoch: UInt64, _ sequence: UInt64) -> ProducerStamp {
        ProducerStamp(producer: "p", epoch: epoch, sequence: sequence)
    }

    // MARK: - A run

    @Test("Events get consecutive numbers from 0, and the mark follows the acknowledged ones")
    func numbers() throws {
        var numbers = ProducerNumbers("p")
        #expect(try numbers.begin(nil) == [])
        #expect(numbers.step(try batch("a", nil, "c").events) == .send(3, stamp(0, 0)))
        #expect(numbers.underWay.map(\.id) == ["a", nil, "c"])
        numbers.acknowledge(2)
        #expect(numbers.mark == "a")
        // The rest of the request is sent again under its number.
        #expect(numbers.step(try batch("c", "d").events) == .send(1, stamp(0, 2)))
        numbers.acknowledge(1)
        #expect(numbers.mark == "c")
        #expect(numbers.step(try batch("d").events) == .send(1, stamp(0, 3)))
    }

    @Test("A request has at most 1000 events, whose numbers are stored first")
    func bounds() throws {
        var numbers = ProducerNumbers("p")
        let events = try batch("a").events
        let many = Array(repeating: events[0], count: 1500)
        #expect(numbers.step(many) == .send(1000, stamp(0, 0)))
        numbers.acknowledge(1000)
        #expect(numbers.step(many[1000...]) == .send(500, stamp(0, 1000)))
    }

    @Test("An event that the hub refuses for good gives up its number with a new epoch")
    func skips() throws {
        var numbers = ProducerNumbers("p")
        #expect(numbers.step(try batch("a", "g", "b").events) == .send(3, stamp(0, 0)))
        numbers.acknowledge(1)
        numbers.skip()
        #expect(try numbers.renew(ProducerState(epoch: 0, last: 0)) == [])
        #expect(numbers.mark == "g")
        #expect(numbers.step(try batch("b").events) == .send(1, stamp(1, 0)))
    }

    @Test("The end of a topic takes a number, and keeps it after a restart")
    func end() throws {
        var numbers = ProducerNumbers("p")
        #expect(numbers.end() == stamp(0, 0))
        var restored = try ProducerNumbers(numbers.fileContent, producer: "p")
        #expect(try restored.begin(nil) == [])
        #expect(restored.end() == stamp(0, 0))
        #expect(try restored.begin(ProducerState(epoch: 0, last: 0)) == [])
        #expect(restored.end() == stamp(0, 0))
        // Of a topic that takes events again, or further input: the end gives up its number silently.
        var continued = try ProducerNumbers(numbers.fileContent, producer: "p")
        _ = try continued.begin(nil)
        #expect(continued.step(try batch("a").events) == .renew)
        #expect(try continued.renew(nil) == [])
        #expect(continued.step(try batch("a").events) == .send(1, stamp(1, 0)))
        // It waits for the events under way.
        var waiting = killed(with: ["a"])
        _ = try waiting.begin(ProducerState(epoch: 1, last: 4))
        #expect(waiting.end() == nil)
    }

    // MARK: - After a restart

    @Test("Events that the hub has taken are left out; the others keep their numbers")
    func restart() throws {
        var numbers = killed(with: ["a", "b", "c"])
        #expect(try numbers.begin(ProducerState(epoch: 1, last: 6)) == [])
        #expect(numbers.taken == ["a", "b"])
        // Only what the source repeats moves the mark: a further restart begins there.
        #expect(numbers.mark == "f-4")
        #expect(numbers.step(try batch("a", "b", "c", "d").events) == .leaveOut(2))
        #expect(numbers.mark == "b")
        #expect(numbers.step(try batch("c", "d").events) == .send(2, stamp(1, 7)))
        numbers.acknowledge(2)
        #expect(numbers.mark == "d" && numbers.taken.isEmpty && numbers.underWay.isEmpty)
    }

    @Test("Nothing is given up if the hub has taken none of the events under way, or all", arguments: [4, 7])
    func noneOrAll(last: UInt64) throws {
        var numbers = killed(with: ["a", "b", "c"])
        #expect(try numbers.begin(ProducerState(epoch: 1, last: last)) == [])
        #expect(numbers.epoch == 1)
        #expect(numbers.underWay.count == 7 - Int(last))
    }

    @Test("IDs are compared byte by byte")
    func canonicalEquivalents() throws {
        var numbers = killed(with: ["\u{E9}", "\u{E9}x"])
        _ = try numbers.begin(ProducerState(epoch: 1, last: 5))
        #expect(numbers.step(try batch("e\u{301}").events) == .renew)
        #expect(numbers.taken == ["\u{E9}"])
    }

    @Test("If the source does not repeat an event, its number stands for no other: a new epoch begins")
    func notRepeated() throws {
        var numbers = killed(with: ["a", "b", "c"])
        _ = try numbers.begin(ProducerState(epoch: 1, last: 5))
        let next = try batch("x", "c").events
        #expect(numbers.step(next) == .renew)
        #expect(try numbers.renew(ProducerState(epoch: 1, last: 5)) == [.notRepeated(2)])
        #expect(numbers.step(next) == .send(2, stamp(2, 0)))
        // `a` is still left out, should it come.
        #expect(numbers.taken == ["a"])
    }

    @Test("If a late request brings the events after all, no epoch begins, and they are left out")
    func lateRequest() throws {
        var numbers = killed(with: ["a", "b"])
        _ = try numbers.begin(ProducerState(epoch: 1, last: 5))
        #expect(numbers.step(try batch("x", "b").events) == .renew)
        #expect(try numbers.renew(ProducerState(epoch: 1, last: 6)) == [])
        #expect(numbers.step(try batch("x", "b").events) == .send(1, stamp(1, 7)))
        numbers.acknowledge(1)
        #expect(numbers.step(try batch("b").events) == .leaveOut(1))
    }

    @Test("Events without an ID are never taken for others")
    func withoutIDs() throws {
        var numbers = killed(with: [nil, nil, nil])
        #expect(try numbers.begin(ProducerState(epoch: 1, last: 5)) == [.takenWithoutID(1)])
        #expect(numbers.step(try batch(nil).events) == .renew)
        #expect(try numbers.renew(ProducerState(epoch: 1, last: 5)) == [.notRepeated(2)])
        #expect(numbers.step(try batch(nil).events) == .send(1, stamp(2, 0)))
    }

    @Test(
        "If the hub has lost the state, a new epoch begins and the user is warned",
        arguments: [nil, ProducerState(epoch: 0, last: 9), ProducerState(epoch: 1, last: 3)]
    )
    func lostState(_ state: ProducerState?) throws {
        var numbers = killed(with: ["a", "b"])
        #expect(try numbers.begin(state) == [.unknownThere(underWay: 2)])
        #expect(numbers.step(try batch("a").events) == .send(1, stamp(2, 0)))
    }

    @Test("If the file is new and the hub knows the producer, a later epoch begins")
    func newFile() throws {
        var numbers = ProducerNumbers("p", mark: "f-4")
        #expect(try numbers.begin(ProducerState(epoch: 6, last: 9)) == [.unknownHere(epoch: 7)])
        #expect(numbers.step(try batch("a").events) == .send(1, stamp(7, 0)))
    }

    @Test("A later epoch, and numbers of another process, are errors")
    func others() {
        var fenced = killed(with: ["a"])
        let error = #expect(throws: ProducerNumbers.Failure.self) {
            try fenced.begin(ProducerState(epoch: 2, last: 0))
        }
        #expect(error?.isFenced == true)
        var foreign = killed(with: ["a"])
        let other = #expect(throws: ProducerNumbers.Failure.self) {
            try foreign.begin(ProducerState(epoch: 1, last: 6))
        }
        #expect(other?.isFenced == false && other?.description.contains("has taken event 6") == true)
    }

    @Test("Numbers and epochs end at the largest that a hub accepts")
    func largest() throws {
        let maximum = ProducerStamp.maximumNumber
        var numbers = ProducerNumbers("p", epoch: 3, next: maximum, mark: nil, underWay: [], taken: [])
        _ = try numbers.begin(ProducerState(epoch: 3, last: maximum - 1))
        #expect(numbers.step(try batch("a").events) == .renew)
        #expect(try numbers.renew(ProducerState(epoch: 3, last: maximum - 1)) == [])
        #expect(numbers.step(try batch("a").events) == .send(1, stamp(4, 0)))
        var last = ProducerNumbers("p", epoch: maximum, next: 1, mark: nil, underWay: [], taken: [])
        #expect(throws: ProducerNumbers.Failure.self) { try last.begin(nil) }
    }

    // MARK: - The file

    @Test("A file's content is restored")
    func file() throws {
        var numbers = killed(with: ["a\"\\\n\u{1}é", nil], taken: ["f-3", "\u{9B}"])
        let content = numbers.fileContent
        #expect(content.starts(with: Array("f-4\n{\"producer\":\"p\",\"epoch\":1,\"next\":7}\n".utf8)))
        let restored = try ProducerNumbers(content, producer: "p")
        #expect(restored.isStored(as: numbers))
        #expect(restored.fileContent == content)
        _ = try numbers.begin(ProducerState(epoch: 1, last: 6))
        numbers = try ProducerNumbers("p").restored
        #expect(numbers.mark == nil && numbers.next == 0)
    }

    @Test("The file of a run without numbers gives the mark", arguments: ["f-4", "f-4\n", "f-4\n\n\n"])
    func plainFile(_ content: String) throws {
        #expect(try ProducerNumbers(Array(content.utf8), producer: "p").isStored(as: ProducerNumbers("p", mark: "f-4")))
        #expect(try ProducerNumbers([], producer: "p").isStored(as: ProducerNumbers("p")))
    }

    @Test(
        "An invalid file is rejected with the line",
        arguments: [
            ("f\nx", 2), ("f\n{}", 2), (#"f"# + "\n" + #"{"producer":"q","epoch":0,"next":0}"#, 2),
            ("f\n" + #"{"producer":"p","epoch":-1,"next":0}"#, 2), ("f\n" + #"{"producer":"p","epoch":0}"#, 2),
            ("f\n" + #"{"producer":"p","epoch":0,"next":9007199254740992}"#, 2),
            ("f\n" + #"{"producer":"p","epoch":0,"next":1}"# + "\n" + #"{"number":1}"#, 2),
            ("f\n" + #"{"producer":"p","epoch":0,"next":1}"# + "\n" + #"{"number":"0"}"#, 3),
            ("f\n" + #"{"producer":"p","epoch":0,"next":4}"# + "\n" + #"{"number":0}"# + "\n" + #"{"number":3}"#, 4),
            ("f\n" + #"{"producer":"p","epoch":0,"next":1}"# + "\n" + #"{"number":0}"# + "\n" + #"{"number":0}"#, 4),
            ("f\u{0}\n", 1),
        ]
    )
    func invalidFiles(_ content: String, _ line: Int) {
        let error = #expect(throws: ProducerNumbers.FileFailure.self) {
            _ = try ProducerNumbers(Array(content.utf8), producer: "p")
        }
        #expect(error?.line == line)
    }

    @Test("Any file is restored or rejected, without a trap")
    func damagedFiles() {
        let content = killed(with: ["a", nil], taken: ["t"]).fileContent
        for index in content.indices {
            _ = try? ProducerNumbers(Array(content[..<index]), producer: "p")
            for byte: UInt8 in [0, 0x22, 0x39, 0x7D, 0x0A, 0xFF] {
                var changed = content
                changed[index] = byte
                guard var numbers = try? ProducerNumbers(changed, producer: "p") else { continue }
                _ = try? numbers.begin(ProducerState(epoch: 1, last: 5))
                _ = numbers.end()
            }
        }
    }
}

extension ProducerNumbers {
    fileprivate var restored: ProducerNumbers {
        get throws { try ProducerNumbers(fileContent, producer: producer) }
    }
}
