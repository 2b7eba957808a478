// SPDX-License-Identifier: Apache-2.0

/// Heap memory of allocations, as glibc's `malloc` uses it on 64-bit systems: 8 bytes of header, in steps of 16.
///
/// Other allocators round differently, by a few bytes per allocation.
enum Allocation {
    /// The bytes before an array's elements: object header, count and capacity.
    static let arrayHead = 32

    /// The memory of an allocation.
    static func size(_ bytes: Int) -> Int { max(32, (bytes + 8 + 15) & ~15) }

    /// The memory of an array's buffer, without what its elements refer to; 0 for an array that never had one.
    static func array<Element>(_ array: [Element]) -> Int { self.array(Element.self, capacity: array.capacity) }

    /// The memory of a buffer of this capacity.
    static func array<Element>(_: Element.Type, capacity: Int) -> Int {
        capacity == 0 ? 0 : size(arrayHead + capacity * MemoryLayout<Element>.stride)
    }
}
