// SPDX-License-Identifier: Apache-2.0

/// What became of an event that was offered to a channel.
public enum OfferResult: Sendable, Hashable {
    /// The channel took it. By its policy it may have dropped it, or another, to bound its buffer.
    case accepted
    /// The buffer is full: nothing was taken.
    case full
    /// The stream is over: nothing was taken, and nothing will be.
    case closed
}
