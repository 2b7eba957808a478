// SPDX-License-Identifier: Apache-2.0

/// Suggests the intended name for a misspelt one.
enum ClosestName {
    /// The candidate with the smallest edit distance to `name`, at most a third of its letters (but at least 1); nil if
    /// there is none.
    ///
    /// Ignores case, `-` and `_`.
    static func closest(to name: String, in names: some Sequence<String>) -> String? {
        let letters = Self.letters(name)
        // Longer than any candidate; the cost of a comparison grows with the length.
        guard letters.count <= 64 else { return nil }
        var best: (name: String, distance: Int)?
        for candidate in names.sorted() {
            let distance = distance(letters, Self.letters(candidate))
            guard distance <= max(1, letters.count / 3), distance < best?.distance ?? .max else { continue }
            best = (candidate, distance)
        }
        return best?.name
    }

    private static func letters(_ name: String) -> [UInt8] {
        name.lowercased().utf8.filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: "_") }
    }

    /// The optimal string alignment distance: Levenshtein's, with transposed neighbours counted as one edit.
    private static func distance(_ one: [UInt8], _ other: [UInt8]) -> Int {
        var rows = [Array(0...other.count)]
        for line in one.indices {
            var row = [line + 1]
            for column in other.indices {
                let isSame = one[line] == other[column]
                var cost = min(rows[line][column] + (isSame ? 0 : 1), rows[line][column + 1] + 1, row[column] + 1)
                if line > 0, column > 0, one[line] == other[column - 1], one[line - 1] == other[column] {
                    cost = min(cost, rows[line - 1][column - 1] + 1)
                }
                row.append(cost)
            }
            rows.append(row)
        }
        return rows[one.count][other.count]
    }
}
