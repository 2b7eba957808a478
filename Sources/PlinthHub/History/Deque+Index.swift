// SPDX-License-Identifier: Apache-2.0

import DequeModule

extension Deque {
    /// The index of the first element with a number greater than `number`; the elements are in increasing order.
    func index(after number: UInt64, _ key: (Element) -> UInt64) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if key(self[middle]) > number { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
