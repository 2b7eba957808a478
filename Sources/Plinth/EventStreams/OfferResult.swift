// SPDX-License-Identifier: Apache-2.0

/// The outcome of offering an event to a channel.
public enum OfferResult: Sendable, Hashable {
    /// The channel accepted the event. At the buffer's bound, its policy may have dropped this event or others.
    case accepted
    /// The buffer is full; the event was not accepted.
    case full
    /// The channel is closed; the event was not accepted.
    case closed
}
