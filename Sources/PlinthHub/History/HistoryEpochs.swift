// SPDX-License-Identifier: Apache-2.0

/// The epochs of a history, which make IDs of numbers: `token-number`.
///
/// A history begins an epoch each time that a process opens it. Numbers never go back: an epoch begins after the last
/// number of the one before. So an ID from a log that was lost, or from another copy of it, is recognised: its token is
/// unknown, or its number lies beyond the last of its epoch.
public struct HistoryEpochs: Sendable, Hashable {
    /// An epoch.
    public struct Epoch: Sendable, Hashable {
        /// Its token: 8 base-36 characters, random.
        public let token: [UInt8]
        /// Its first number.
        public let first: UInt64
        /// The last number before the next epoch; nil for the current one.
        public fileprivate(set) var last: UInt64?

        /// Creates an epoch, as a history has stored it.
        ///
        /// - Parameters:
        ///   - token: Its token, without `-`.
        ///   - first: Its first number.
        ///   - last: The last number before the next epoch; nil for the current one.
        public init(token: [UInt8], first: UInt64, last: UInt64? = nil) {
            self.token = token
            self.first = first
            self.last = last
        }
    }

    /// All epochs, the current one last; at least one.
    public private(set) var epochs: [Epoch]
    /// By token: its index.
    private var indices: [[UInt8]: Int]
    /// The beginning of the current epoch's IDs.
    private var prefix: [UInt8]
    /// The current epoch's first number; 0 if there is no other.
    private var firstOfCurrent: UInt64 = 0

    /// Creates the epochs of a history that has none.
    ///
    /// - Parameter token: The token of the first. Default: a random one.
    public init(token: [UInt8] = Self.randomToken()) {
        epochs = [Epoch(token: token, first: 1)]
        indices = [token: 0]
        prefix = token + [0x2D]
    }

    /// Creates the epochs that a history has stored.
    ///
    /// - Parameter epochs: The epochs, in order; their first numbers increase. Returns nil without any.
    public init?(_ epochs: [Epoch]) {
        guard let last = epochs.last else { return nil }
        self.epochs = epochs
        prefix = last.token + [0x2D]
        firstOfCurrent = epochs.count > 1 ? last.first : 0
        indices = Dictionary(epochs.enumerated().map { ($0.element.token, $0.offset) }) { first, _ in first }
    }

    /// A random token: 8 base-36 characters.
    public static func randomToken() -> [UInt8] {
        token(UInt64.random(in: 0..<2_821_109_907_456))
    }

    /// The token of a number below 36^8.
    package static func token(_ number: UInt64) -> [UInt8] {
        let digits = Array(String(number, radix: 36).utf8)
        return [UInt8](repeating: 0x30, count: max(0, 8 - digits.count)) + digits
    }

    /// Begins an epoch.
    ///
    /// - Parameters:
    ///   - token: Its token. Default: a random one.
    ///   - last: The last number of the current epoch.
    ///   - hole: How many numbers to leave out, so that those that a lost branch may have used are not used again.
    ///     Default: 0.
    public mutating func begin(token: [UInt8] = Self.randomToken(), after last: UInt64, hole: UInt64 = 0) {
        epochs[epochs.count - 1].last = last
        indices[token] = epochs.count
        epochs.append(Epoch(token: token, first: last &+ hole &+ 1))
        prefix = token + [0x2D]
        firstOfCurrent = last &+ hole &+ 1
    }

    /// The current epoch.
    package var current: Epoch { epochs[epochs.count - 1] }

    /// The ID of a position: that of the epoch which it belongs to.
    public func id(at position: Position) -> EventID {
        var id: [UInt8] = []
        id.reserveCapacity(prefix.count + 20)
        append(position, to: &id)
        return EventID(trusted: id)
    }

    /// Appends the ID of a position.
    func append(_ position: Position, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: beginning(of: position))
        bytes.appendDecimal(position.number)
    }

    /// The beginning of a position's ID: the token of its epoch, and `-`.
    func beginning(of position: Position) -> [UInt8] {
        if position.number >= firstOfCurrent { return prefix }
        var index = epochs.count - 1
        while index > 0, epochs[index].first > position.number { index -= 1 }
        return epochs[index].token + [0x2D]
    }

    /// The position of an ID; nil if its token is unknown or its number is not of its epoch.
    ///
    /// - Parameters:
    ///   - id: The ID.
    ///   - head: The last position of the history.
    /// - Returns: The position.
    public func position(of id: EventID, head: Position) -> Position? {
        guard let dash = id.utf8.lastIndex(of: 0x2D), let index = indices[Array(id.utf8[..<dash])],
            let number = UInt64(decimal: id.utf8[(dash + 1)...])
        else { return nil }
        // Position 0, before the first event, is of the first epoch.
        guard number >= epochs[index].first || (number == 0 && index == 0), number <= epochs[index].last ?? head.number
        else { return nil }
        return Position(number)
    }

    /// Whether an ID looks like one of this history's, which no publisher may choose.
    public func claims(_ id: EventID) -> Bool {
        id.utf8.firstIndex(of: 0x2D).map { indices[Array(id.utf8[..<$0])] != nil } ?? false
    }
}
