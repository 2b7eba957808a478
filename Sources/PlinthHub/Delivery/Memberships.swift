// SPDX-License-Identifier: Apache-2.0

/// Lists of slots; a slot is removed from all of its lists at once.
///
/// Removal decrements the count of each of the slot's lists. The slot's places keep its old serial number, which marks
/// them as empty, and are swept when a list has more empty places than members: a step or two per place, a few lists at
/// a time. Removal does not search, and its cost does not depend on what other slots named. 12 bytes per member.
struct Memberships {
    struct Member {
        let slot: Int32
        /// Distinguishes successive users of the slot; a list is swept before there are 2^32 of them.
        fileprivate let serial: UInt32
    }

    private var lists: ContiguousArray<ContiguousArray<Member>> = []
    /// By list: the number of members.
    private var counts: ContiguousArray<Int32> = []
    /// By slot, up to the highest ever in a list: its serial number, and its lists.
    private var serials: ContiguousArray<UInt32> = []
    private var listsOfSlot: ContiguousArray<ContiguousArray<Int32>> = []
    /// Lists with more empty places than members, each once.
    private var unswept: [Int32] = []
    /// By list: whether it is in ``unswept``.
    private var isUnswept: ContiguousArray<Bool> = []
    /// The cost of removals: places emptied or swept.
    private(set) var steps = 0

    /// The number of members of a list.
    func count(of list: Int) -> Int {
        counts.indices.contains(list) ? Int(counts[list]) : 0
    }

    /// The places of a list, including empty ones; ``isPresent(_:)`` distinguishes them.
    func places(of list: Int) -> ContiguousArray<Member> {
        count(of: list) == 0 ? [] : lists[list]
    }

    /// Whether a place is not empty.
    @inline(__always)
    func isPresent(_ member: Member) -> Bool { serials[Int(member.slot)] == member.serial }

    /// Calls a closure with each member of a list.
    func forEach(in list: Int, _ body: (Int32) -> Void) {
        for member in places(of: list) where isPresent(member) { body(member.slot) }
    }

    /// Adds a slot to a list that does not contain it.
    mutating func add(_ slot: Int32, to list: Int) {
        while lists.count <= list {
            lists.append([])
            counts.append(0)
            isUnswept.append(false)
        }
        while serials.count <= Int(slot) {
            serials.append(0)
            listsOfSlot.append([])
        }
        lists[list].append(Member(slot: slot, serial: serials[Int(slot)]))
        counts[list] += 1
        listsOfSlot[Int(slot)].append(Int32(truncatingIfNeeded: list))
    }

    /// Removes a slot from all of its lists.
    ///
    /// - Returns: The lists that became empty.
    mutating func remove(_ slot: Int32) -> [Int32] {
        guard listsOfSlot.indices.contains(Int(slot)) else { return [] }
        let own = listsOfSlot[Int(slot)]
        guard !own.isEmpty else { return [] }
        listsOfSlot[Int(slot)] = []
        serials[Int(slot)] &+= 1
        steps += own.count
        var emptied: [Int32] = []
        // Hot when many subscribers leave: runs once per name.
        counts.withUnsafeMutableBufferPointer { counts in
            for list in own {
                counts[Int(list)] -= 1
                let left = Int(counts[Int(list)])
                if left == 0 {
                    emptied.append(list)
                } else if lists[Int(list)].count > 2 * left, !isUnswept[Int(list)] {
                    isUnswept[Int(list)] = true
                    unswept.append(list)
                }
            }
        }
        for list in emptied { lists[Int(list)] = [] }
        // A list is swept when half of its places are empty, so this keeps up.
        sweep(2 * own.count)
        return emptied
    }

    /// Removes the empty places of one list at least, and of more until `limit` places have been examined.
    private mutating func sweep(_ limit: Int) {
        var looked = 0
        while looked <= limit, let list = unswept.popLast() {
            isUnswept[Int(list)] = false
            let count = Int(counts[Int(list)])
            guard count > 0, lists[Int(list)].count > 2 * count else { continue }
            looked += lists[Int(list)].count
            var kept: ContiguousArray<Member> = []
            kept.reserveCapacity(count)
            for member in lists[Int(list)] where isPresent(member) { kept.append(member) }
            lists[Int(list)] = kept
        }
        steps += looked
    }
}
