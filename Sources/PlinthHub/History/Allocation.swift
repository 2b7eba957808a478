// SPDX-License-Identifier: Apache-2.0

/// What allocations take in memory, as glibc's `malloc` gives it out on 64-bit systems: with 8 bytes of its own, in steps of 16.
///
/// Other allocators round in steps of their own; the difference is a few bytes for each allocation.
enum Allocation {
    /// What comes before an array's elements: the object's head, the count and the capacity.
    static let arrayHead = 32

    /// An allocation.
    static func size(_ bytes: Int) -> Int { max(32, (bytes + 8 + 15) & ~15) }

    /// An array's elements, whatever they refer to; nothing for an array that never had one.
    static func array<Element>(_ array: [Element]) -> Int { self.array(Element.self, capacity: array.capacity) }

    /// An array of a capacity.
    static func array<Element>(_: Element.Type, capacity: Int) -> Int {
        capacity == 0 ? 0 : size(arrayHead + capacity * MemoryLayout<Element>.stride)
    }
}
