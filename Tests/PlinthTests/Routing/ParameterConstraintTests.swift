// SPDX-License-Identifier: Apache-2.0

import Plinth
import Testing

@Suite("Parameter constraints")
struct ParameterConstraintTests {
    @Test(
        "A constraint accepts the described values",
        arguments: [
            (ParameterConstraint.digits, ["0", "0815", "99999999999999999999"], ["", "-1", "1.0", "x", "٣", "1 "]),
            (
                .uuid, ["01234567-89ab-cdef-ABCD-EF0123456789"],
                [
                    "", "01234567-89ab-cdef-ABCD-EF012345678", "0123456789ab-cdef-ABCD-EF01234567890",
                    "g1234567-89ab-cdef-ABCD-EF0123456789",
                ]
            ),
            (.oneOf(["a", "\u{E9}"]), ["a", "\u{E9}"], ["", "b", "e\u{301}", "A"]),
            (.matching("short") { $0.count < 3 }, ["", "ab"], ["abc"]),
        ]
    )
    func accepts(constraint: ParameterConstraint, good: [String], bad: [String]) {
        for value in good { #expect(constraint.accepts(value), "\(constraint): \(value)") }
        for value in bad { #expect(!constraint.accepts(value), "\(constraint): \(value)") }
    }
}
