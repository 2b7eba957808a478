// SPDX-License-Identifier: Apache-2.0

/// One run of a ready function, and what its end means for the stream.
struct ReadyRun: Sendable {
    let channel: EventChannel
    let state: ReadyState
    let lifetime: EventStream.Lifetime
    let onError: (@Sendable (any Error) -> ServerSentEvent?)?
    let logger: Logger

    /// Runs the ready function; its errors end the stream.
    ///
    /// - Parameter ready: The ready function.
    func run(_ ready: EventStream.Ready) async {
        defer { state.end() }
        do {
            try await ready(channel)
            if lifetime.endsWithReadyFunction { channel.close() }
        } catch {
            fail(error)
        }
    }

    /// Runs the ready function; its errors end the stream, but one before the stream opens is the caller's.
    ///
    /// - Parameter ready: The ready function.
    /// - Throws: What it throws before the stream opens, for which there is a status.
    func runThrowingBeforeFirstEvent(_ ready: EventStream.Ready) async throws {
        defer { state.end() }
        do {
            try await ready(channel)
            if lifetime.endsWithReadyFunction { channel.close() }
        } catch {
            guard channel.hasOpened else {
                channel.end(.applicationFailed)
                throw error
            }
            fail(error)
        }
    }

    private func fail(_ error: any Error) {
        if channel.isClosed {
            // Whoever is cancelled, or finds the channel closed, because the stream is over has not failed; and of what
            // breaks in that moment most is for the same reason, such as a request of its own that was cancelled.
            let isConsequence = error is CancellationError || error is EventChannelClosed
            if !isConsequence { log(error, Task.isCancelled ? .debug : .error) }
            return
        }
        log(error, .error)
        let lastEvent = error is CancellationError ? nil : onError?(error)
        channel.end(.applicationFailed, lastEvent: lastEvent)
    }

    private func log(_ error: any Error, _ level: Logger.Level) {
        logger.log(level: level, "the ready function of an event stream failed", metadata: ["error": "\(error)"])
    }
}
