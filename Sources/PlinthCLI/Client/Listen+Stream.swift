// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import ArgumentParser
import HTTPTypes
import PlinthClient

/// Reading the stream, over reconnections and new tokens.
extension Listen {
    /// Why a source ended.
    enum End {
        /// The time ran out.
        case closed
        /// The server answered 204.
        case noContent
        /// All topics have ended.
        case topicsEnded
        /// The hub no longer holds some events, and the state is to be fetched again.
        case gap
    }

    /// Prints messages until the time runs out or an end condition is met.
    ///
    /// If the server answers 401 and the file of `--token-file` holds another token by then, a new source continues
    /// after the last event; once, until a stream has opened.
    func listen(
        _ configuration: EventSourceConfiguration,
        _ clock: ListenClock,
        _ output: inout ListenOutput
    ) async throws -> End {
        let transport = try request.transport()
        let tokens = request.tokens
        var configuration = configuration
        if let tokens {
            configuration.headerProvider = { [.authorization: try tokens.read().authorization] }
        }
        var course = Course()
        while true {
            let source = EventSource(url, configuration: configuration, transport: transport)
            clock.watch(source)
            do {
                return try await read(source, &course, &output)
            } catch let error as ResumeFile.Failure {
                throw leave(74, "\(error)")
            } catch let error as EventSourceError {
                guard error.status == 401, !course.hasNewToken, tokens?.isRenewed() == true else {
                    throw leave(4, Self.text(error))
                }
                complain("\(error.text) Trying again with the new token in the file\(place(source)).")
                course = Course(wasDisconnected: true, hasNewToken: true)
                configuration.lastEventID = source.lastEventID
            }
        }
    }

    /// What has happened since a stream was last open.
    private struct Course {
        var wasDisconnected = false
        /// Whether the server refused a token, and another one is under way.
        var hasNewToken = false
    }

    private func read(
        _ source: EventSource,
        _ course: inout Course,
        _ output: inout ListenOutput
    ) async throws -> End {
        for try await message in source.messages {
            switch message {
            case .opened:
                if course.wasDisconnected { complain("reconnected\(place(source))") }
                course.hasNewToken = false
            case .event(let event):
                if try output.put(event) { throw ExitCode(0) }
                if isHub, let gap = HubGapText(event) {
                    complain(gap.message)
                    if state != nil { return .gap }
                }
                if isHub, output.hasEnded(with: event) { return .topicsEnded }
            case .comment(let comment):
                output.put(comment: comment)
            case .disconnected(let error, let wait):
                course.wasDisconnected = true
                if once { throw leave(5, Self.text(error)) }
                complain("\(Self.text(error)) Reconnecting in \(Self.seconds(wait))\(place(source)).")
            }
        }
        if case .closed(.noContent) = source.readyState { return .noContent }
        return .closed
    }

    /// An error's text, with advice in terms of this command's options.
    private static func text(_ error: EventSourceError) -> String {
        let advice: String?
        var text = error.text
        switch error.code {
        case .unexpectedStatus:
            let isForGood = error.advice != nil
            advice = isForGood ? error.status.map { "Use --retry-status \($0) to retry." } : nil
        case .headersUnavailable:
            // Only the token file provides headers, and its error says it all.
            return error.cause.map { "\($0)." } ?? text
        case .tooLarge: advice = "Raise --maximum-size if you trust the server."
        default: advice = ConnectionAdvice.sentence(for: error.code, cause: error.cause) ?? error.advice
        }
        if let advice { text += " " + advice }
        return text
    }

    private func place(_ source: EventSource) -> String {
        let id = source.lastEventID
        if id.utf8.count > source.configuration.maximumLastEventIDSize {
            return ", with new events only: the last event ID of \(id.utf8.count) bytes is too long to send"
        }
        return id.isEmpty ? "" : ", after the event \(id)"
    }
}
#endif
