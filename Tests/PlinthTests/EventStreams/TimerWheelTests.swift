// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthTestSupport
import Testing

@Suite("The timer wheel")
struct TimerWheelTests {
    private final class Entry: TimerWheelEntry {
        let id: Int
        var wheelPlace: TimerWheelPlace?

        init(_ id: Int) { self.id = id }
    }

    private let tick: Int64 = 50_000_000

    private func ids(_ entries: [Entry]) -> Set<Int> { Set(entries.map(\.id)) }

    @Test("gives out an entry within a tick after its deadline, and never before")
    func bounds() {
        for offset in [0, 1, 49, 50, 51, 99, 100, 12_799, 12_800, 12_801, 60_000] as [Int64] {
            let start = MonotonicTime(nanoseconds: 7 * tick + 13)
            var wheel = TimerWheel<Entry>(now: start)
            let deadline = start + .milliseconds(offset)
            wheel.schedule(Entry(1), at: deadline)
            var now = start
            var due: [Entry] = []
            while due.isEmpty {
                now = now + .nanoseconds(tick)
                due = wheel.advance(to: now)
            }
            #expect(now >= deadline)
            #expect(now.nanoseconds - deadline.nanoseconds <= 2 * tick)
            #expect(wheel.count == 0)
        }
    }

    @Test("keeps entries of one slot apart when some of them move or go")
    func sameSlot() {
        var wheel = TimerWheel<Entry>(now: .seconds(0))
        let entries = (0..<6).map(Entry.init)
        for entry in entries { wheel.schedule(entry, at: .seconds(1)) }
        wheel.remove(entries[0])
        wheel.remove(entries[0])
        wheel.schedule(entries[2], at: .seconds(2))
        wheel.remove(entries[5])
        #expect(wheel.count == 4)
        #expect(ids(wheel.advance(to: .seconds(1.1))) == [1, 3, 4])
        #expect(ids(wheel.advance(to: .seconds(2.1))) == [2])
        #expect(wheel.count == 0)
        #expect(entries.allSatisfy { $0.wheelPlace == nil })
    }

    @Test("waits for the end of time")
    func distantFuture() {
        var wheel = TimerWheel<Entry>(now: .seconds(0))
        let entry = Entry(1)
        wheel.schedule(entry, at: .distantFuture)
        #expect(wheel.advance(to: .seconds(1_000_000_000)).isEmpty)
        #expect(wheel.count == 1)
        wheel.remove(entry)
        #expect(wheel.count == 0)
    }

    @Test(
        "does as a list would, whatever is scheduled, moved, removed and missed",
        arguments: [1, 2, 3, 4] as [UInt64]
    )
    func model(seed: UInt64) {
        print("timer wheel, seed \(seed)")
        var random = SeededGenerator(seed: seed)
        // Few slots, so that there are many turns and many entries of one slot.
        let slots = [2, 3, 8, 256][Int(seed) % 4]
        var now = Int64.random(in: 0..<1_000_000_000_000, using: &random)
        var wheel = TimerWheel<Entry>(slots: slots, now: MonotonicTime(nanoseconds: now))
        let entries = (0..<64).map(Entry.init)
        var deadlines: [Int: Int64] = [:]
        /// Since when the wheel has been looked at often enough to expect all that is due.
        for _ in 0..<25_000 {
            let entry = entries[Int.random(in: 0..<entries.count, using: &random)]
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<5:
                // Some in the past, most within a turn, some many turns away.
                let span =
                    [tick, 10 * tick, Int64(slots) * tick, 20 * Int64(slots) * tick]
                    .randomElement(using: &random) ?? tick
                let deadline = max(0, now + Int64.random(in: -tick...span, using: &random))
                wheel.schedule(entry, at: MonotonicTime(nanoseconds: deadline))
                deadlines[entry.id] = deadline
            case 5:
                wheel.remove(entry)
                deadlines[entry.id] = nil
            default:
                // A tick, less than one, or a pause of up to three turns.
                now +=
                    [
                        tick, Int64.random(in: 0..<tick, using: &random),
                        Int64.random(in: 0..<(3 * Int64(slots) * tick), using: &random),
                    ]
                    .randomElement(using: &random) ?? tick
                let due = wheel.advance(to: MonotonicTime(nanoseconds: now))
                for entry in due {
                    guard let deadline = deadlines.removeValue(forKey: entry.id) else {
                        Issue.record("entry \(entry.id) is due twice, or was never in the wheel")
                        continue
                    }
                    #expect(deadline <= now, "entry \(entry.id) came early")
                }
                // Whatever is left has a deadline in the last two ticks at the earliest: in the present one or, if it was
                // put in after its deadline, in the next to be looked at.
                for (id, deadline) in deadlines {
                    #expect(deadline > now - 2 * tick, "entry \(id) is late")
                }
            }
            #expect(wheel.count == deadlines.count)
        }
        now += 100 * Int64(slots) * tick
        #expect(ids(wheel.advance(to: MonotonicTime(nanoseconds: now))) == Set(deadlines.keys))
        #expect(wheel.count == 0)
    }
}
