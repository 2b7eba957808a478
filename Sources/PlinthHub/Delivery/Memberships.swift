// SPDX-License-Identifier: Apache-2.0

/// Lists of slots, which a slot leaves all at once.
///
/// One that leaves is taken off the count of each of its lists. Its places there keep its old serial number, by which they are
/// known to be empty, and are removed when a list has more empty places than members: a step or two for each place, list
/// after list, a few at a time. Leaving does not cost what others named, and nothing is searched for. 12 bytes for each member.
struct Memberships {
    struct Member {
        let slot: Int32
        /// Which of those that had the slot one after the other: the list is swept before 2^32 of them have.
        fileprivate let serial: UInt32
    }

    private var lists: ContiguousArray<ContiguousArray<Member>> = []
    /// By list: how many are there.
    private var counts: ContiguousArray<Int32> = []
    /// By slot, as long as the highest that was ever in a list: its number, and its lists.
    private var serials: ContiguousArray<UInt32> = []
    private var listsOfSlot: ContiguousArray<ContiguousArray<Int32>> = []
    /// Lists of which more than half has left, each once.
    private var unswept: [Int32] = []
    /// By list: whether it stands there.
    private var isUnswept: ContiguousArray<Bool> = []
    /// Places that were left or swept: what leaving costs.
    private(set) var steps = 0

    /// How many members a list has.
    func count(of list: Int) -> Int {
        counts.indices.contains(list) ? Int(counts[list]) : 0
    }

    /// The places of a list, those that have been left included: ``isPresent(_:)`` tells.
    func places(of list: Int) -> ContiguousArray<Member> {
        count(of: list) == 0 ? [] : lists[list]
    }

    /// Whether a place has not been left.
    @inline(__always)
    func isPresent(_ member: Member) -> Bool { serials[Int(member.slot)] == member.serial }

    /// Calls a closure with each member of a list.
    func forEach(in list: Int, _ body: (Int32) -> Void) {
        for member in places(of: list) where isPresent(member) { body(member.slot) }
    }

    /// Puts a slot into a list in which it is not yet.
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

    /// Takes a slot out of all its lists.
    ///
    /// - Returns: The lists that have no members any more.
    mutating func remove(_ slot: Int32) -> [Int32] {
        guard listsOfSlot.indices.contains(Int(slot)) else { return [] }
        let own = listsOfSlot[Int(slot)]
        guard !own.isEmpty else { return [] }
        listsOfSlot[Int(slot)] = []
        serials[Int(slot)] &+= 1
        steps += own.count
        var emptied: [Int32] = []
        // A crowd that leaves comes here for each of its names.
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
        // A list is swept when half of its places have been left, so that this keeps up.
        sweep(2 * own.count)
        return emptied
    }

    /// Closes the places of those that have left, of a list at least, and until this many have been looked at.
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
