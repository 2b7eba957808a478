// SPDX-License-Identifier: Apache-2.0

import Testing

/// Compares what subscribers read with what was published, under random publishes, joins, stalls, leaves, trims, purges,
/// ends, limits of topics and new epochs.
///
/// Every subscriber must see a strictly increasing sequence without gaps or duplicates from its start on, or an event
/// that reports a gap if history was trimmed. A gap may be needless, but must not skip events that are held. When all of
/// its topics have ended, its stream ends, and nothing follows.
@Suite("Delivery model")
struct DistributorModelTests {
    /// More than a million steps in total in the optimised tests, which CI also runs.
    #if DEBUG
    private static let steps = 4_000
    #else
    private static let steps = 100_000
    #endif

    @Test(
        "No event is duplicated or reordered, and every loss is reported",
        arguments: [1, 2, 3, 4, 5, 6, 7, 8] as [UInt64]
    )
    func synchronous(seed: UInt64) async throws {
        var model = DeliveryModel(seed: seed, answersLater: false)
        try await model.run(steps: Self.steps)
    }

    @Test(
        "With a history that answers later, too, no event is duplicated or reordered, and every loss is reported",
        arguments: [11, 12, 13, 14] as [UInt64]
    )
    func later(seed: UInt64) async throws {
        var model = DeliveryModel(seed: seed, answersLater: true)
        try await model.run(steps: Self.steps)
    }
}
