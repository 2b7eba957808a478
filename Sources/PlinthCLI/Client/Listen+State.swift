// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import ArgumentParser
import NIOHTTP1
import PlinthClient
import PlinthStreams

/// `--state`: an application's state, then the events after it.
extension Listen {
    /// An application's state, and the hub's mark as of which it is complete.
    struct ApplicationState: Equatable {
        var mark: String
        var text: String

        /// Reads a response.
        ///
        /// - Throws: ``Refusal`` if it is no state with a mark.
        init(_ answer: HTTPExchange.Answer, maximumSize: Int) throws(Refusal) {
            guard answer.isSuccess else { throw Refusal(reason: answer.refusal(HubReport(answer))) }
            if answer.headers.first(name: "Content-Type")?.hasPrefix("text/event-stream") ?? false {
                throw Refusal(reason: "the response is an event stream, and not a state")
            }
            if answer.isTruncated {
                throw Refusal(reason: "it is longer than \(maximumSize) bytes; raise --maximum-size if you trust it")
            }
            guard let mark = answer.headers.first(name: "Last-Event-ID"), !mark.isEmpty else {
                throw Refusal(
                    reason: "the response has no Last-Event-ID: the application has to read the hub's mark before the "
                        + "state, and send it in this field"
                )
            }
            let limit = EventSourceConfiguration().maximumLastEventIDSize
            guard mark.utf8.count <= limit else {
                throw Refusal(reason: "the Last-Event-ID of the response has more than \(limit) bytes")
            }
            self.mark = mark
            text = String(decoding: answer.body, as: UTF8.self)
        }
    }

    /// Why a response is no state.
    struct Refusal: Error, Equatable {
        let reason: String
    }

    /// Gets the state, listens after it, and begins again after each gap.
    func follow(
        _ configuration: EventSourceConfiguration,
        _ clock: ListenClock,
        _ output: inout ListenOutput
    ) async throws -> End {
        guard let state else { return .closed }
        let requests = HubRequests(options: request, timeout: .seconds(30), note: complain)
        do {
            let end = try await follow(state, configuration, clock, requests, &output)
            await requests.close()
            return end
        } catch {
            await requests.close()
            throw error
        }
    }

    private func follow(
        _ url: String,
        _ configuration: EventSourceConfiguration,
        _ clock: ListenClock,
        _ requests: HubRequests,
        _ output: inout ListenOutput
    ) async throws -> End {
        var configuration = configuration
        var pauses = Pauses()
        while let state = try await fetch(url, configuration.retryableStatuses, clock, requests) {
            let event = EventSource.Event(type: "state", data: state.text, lastEventID: state.mark)
            if try output.put(event) { throw ExitCode.success }
            configuration.lastEventID = state.mark
            let before = output.printed
            let end = try await listen(configuration, clock, &output)
            guard end == .gap else { return end }
            // A mark that the hub no longer knows, as of a cached state, would be fetched again and again.
            if output.printed > before + 1 { pauses = Pauses() }
            let pause = pauses.next()
            complain("getting the state again in \(Self.seconds(pause))")
            try await sleep(for: pause, clock)
        }
        return .closed
    }

    /// Gets the state; repeats transient failures.
    ///
    /// - Returns: The state; nil if the time ran out.
    private func fetch(
        _ url: String,
        _ transient: Set<Int>,
        _ clock: ListenClock,
        _ requests: HubRequests
    ) async throws -> ApplicationState? {
        var pauses = Pauses()
        while !clock.isOver {
            var sent = HubRequests.Request(url: url)
            sent.maximumBodySize = maximumSize
            sent.timeout = min(clock.rest ?? .seconds(30), .seconds(30))
            // The fields of --header are meant for the stream's server.
            let addresses = (try HTTPAddress(self.url), try HTTPAddress(url))
            sent.sendsCredentials = addresses.0.hasSameOrigin(as: addresses.1)
            let reason: String
            do {
                let answer = try await requests.perform(sent)
                if !transient.contains(Int(answer.status.code)) {
                    do throws(Refusal) {
                        return try ApplicationState(answer, maximumSize: maximumSize)
                    } catch {
                        throw leave(4, "the state: \(error.reason)")
                    }
                }
                reason = answer.refusal(HubReport(answer))
            } catch let failure as HubRequests.Failure {
                if failure.kind == .refused { throw leave(4, "the state: \(failure.reason)") }
                reason = failure.reason
            }
            if clock.isOver { break }
            if once { throw leave(5, "the state: \(reason)") }
            let pause = pauses.next()
            complain("the state: \(reason). Trying again in \(Self.seconds(pause)).")
            try await sleep(for: pause, clock)
        }
        return nil
    }

    private func sleep(for time: Duration, _ clock: ListenClock) async throws {
        // Backs off, and no longer than the command may run.
        try await Task.sleep(for: min(time, clock.rest ?? time))
    }

    /// Pauses between attempts: 0.5 s, doubled each time up to 30 s.
    private struct Pauses {
        private var pause = Duration.milliseconds(500)

        mutating func next() -> Duration {
            defer { pause = min(pause * 2, .seconds(30)) }
            return pause
        }
    }
}
#endif
