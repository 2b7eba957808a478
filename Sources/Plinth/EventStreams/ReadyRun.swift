// SPDX-License-Identifier: Apache-2.0

/// One run of a ready function, and what its end means for the stream.
struct ReadyRun: Sendable {
    let channel: EventChannel
    let options: EventStreamOptions
    let lifetime: EventStream.Lifetime
    let logger: Logger

    /// - Parameter throwingBeforeFirstEvent: Whether an error before the first event is the caller's, who can still
    ///   answer with a status.
    func callAsFunction(_ ready: EventStream.Ready, throwingBeforeFirstEvent: Bool) async throws {
        do {
            try await ready(channel)
            if lifetime.endsWithReadyFunction { channel.close() }
        } catch {
            if throwingBeforeFirstEvent, !channel.hasEvents {
                channel.end(.applicationFailed)
                throw error
            }
            fail(error)
        }
    }

    private func fail(_ error: any Error) {
        // Whoever is cancelled, or finds the channel closed, because the stream is over has not failed.
        if channel.isClosed, error is CancellationError || error is EventChannelClosed { return }
        logger.error("the ready function of an event stream failed", metadata: ["error": "\(error)"])
        let lastEvent = error is CancellationError ? nil : options.onError?(error)
        channel.end(.applicationFailed, lastEvent: lastEvent)
    }
}
