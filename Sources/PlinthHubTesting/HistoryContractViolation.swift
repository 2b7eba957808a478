// SPDX-License-Identifier: Apache-2.0

/// A rule of the contract that a history breaks.
public struct HistoryContractViolation: Error, Hashable, CustomStringConvertible {
    /// The rule's ``HistoryContract/Rule/name``; several names if several rules are broken.
    public let rule: String
    /// What was observed instead of what the rule requires.
    public let seen: String

    /// The rule and what was observed.
    public var description: String { "\(rule): \(seen)" }
}
