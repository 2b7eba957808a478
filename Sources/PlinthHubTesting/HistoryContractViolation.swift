// SPDX-License-Identifier: Apache-2.0

/// A rule of the contract that a history does not keep.
public struct HistoryContractViolation: Error, Hashable, CustomStringConvertible {
    /// The rule, as ``HistoryContract/Rule/name`` has it; several, if several were broken.
    public let rule: String
    /// What was seen instead of what the rule asks for.
    public let seen: String

    /// The rule and what was seen.
    public var description: String { "\(rule): \(seen)" }
}
