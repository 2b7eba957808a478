// SPDX-License-Identifier: Apache-2.0

/// Counts subscribers by topic.
///
/// Streams of names alone are counted per topic. Streams with patterns are in an index, whose matching lists a count
/// iterates, counting each stream once. An application's matchers are called.
struct Presence {
    private var numbers: [Topic: Int32] = [:]
    /// By number: the topic, and the number of streams of names alone that named it.
    private var topics: ContiguousArray<Topic?> = []
    private var counts: ContiguousArray<Int32> = []
    private var freeNumbers: [Int32] = []
    /// The topic numbers of each stream that named several.
    private var several: [UInt64: ContiguousArray<Int32>] = [:]

    private var patterns = PatternIndex()
    private var slots: [UInt64: Int32] = [:]
    private var asking: [Int32: Selection] = [:]
    private var freeSlots: [Int32] = []
    /// By slot: the count that last included it.
    private var marks: ContiguousArray<UInt64> = []
    private var mark: UInt64 = 0
    private(set) var count = 0

    mutating func add(_ selection: Selection, id: UInt64) {
        count += 1
        if let only = selection.only { return counts[Int(number(making: only))] += 1 }
        guard !selection.isOfNames else {
            var own: ContiguousArray<Int32> = []
            own.reserveCapacity(selection.table.names)
            selection.table.forEachName { own.append(number(making: $0)) }
            for number in own { counts[Int(number)] += 1 }
            return several[id] = own
        }
        let slot = freeSlots.popLast() ?? Int32(truncatingIfNeeded: marks.count)
        if Int(slot) == marks.count { marks.append(0) }
        slots[id] = slot
        patterns.add(slot, selection, withNames: true)
        if !selection.matchers.isEmpty { asking[slot] = selection }
    }

    private mutating func number(making topic: Topic) -> Int32 {
        if let known = numbers[topic] { return known }
        let made: Int32
        if let free = freeNumbers.popLast() {
            made = free
            topics[Int(made)] = topic
        } else {
            made = Int32(truncatingIfNeeded: counts.count)
            topics.append(topic)
            counts.append(0)
        }
        numbers[topic] = made
        return made
    }

    mutating func remove(_ selection: Selection, id: UInt64) {
        count -= 1
        if let only = selection.only {
            if let number = numbers[only] { leave([number]) }
        } else if let own = several.removeValue(forKey: id) {
            leave(own)
        } else if let slot = slots.removeValue(forKey: id) {
            patterns.remove(slot)
            asking[slot] = nil
            freeSlots.append(slot)
        }
    }

    private mutating func leave(_ own: ContiguousArray<Int32>) {
        var gone: [Int32] = []
        counts.withUnsafeMutableBufferPointer { counts in
            for number in own {
                counts[Int(number)] -= 1
                if counts[Int(number)] == 0 { gone.append(number) }
            }
        }
        for number in gone {
            guard let topic = topics[Int(number)].take() else { continue }
            numbers[topic] = nil
            freeNumbers.append(number)
        }
    }

    /// The number of subscribers of a topic.
    mutating func count(of topic: Topic) -> Int {
        var count = numbers[topic].map { Int(counts[Int($0)]) } ?? 0
        guard !patterns.isEmpty || !asking.isEmpty else { return count }
        var lists: [Int32] = []
        patterns.match(topic) { lists.append($0) }
        // A stream is in a list only once.
        if lists.count == 1, asking.isEmpty { return count + patterns.lists.count(of: Int(lists[0])) }
        mark += 1
        func add(_ slot: Int32) {
            guard marks[Int(slot)] != mark else { return }
            marks[Int(slot)] = mark
            count += 1
        }
        for list in lists { patterns.lists.forEach(in: Int(list), add) }
        for (slot, selection) in asking where selection.isAskedFor(topic) { add(slot) }
        return count
    }
}
