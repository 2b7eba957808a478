// SPDX-License-Identifier: Apache-2.0

/// Waits until the task is cancelled, without a clock.
///
/// - Throws: `CancellationError`, always.
package func untilCancelled() async throws {
    let (never, continuation) = AsyncStream<Never>.makeStream()
    for await _ in never {}
    continuation.finish()
    throw CancellationError()
}
