// SPDX-License-Identifier: Apache-2.0

import HTTPTypes

extension ConnectionMachine {
    /// Interprets the hub's own events among those that were received.
    ///
    /// - Returns: Nil to continue reading.
    mutating func interpret(_ batch: inout EventBatch, from start: Int) -> Action? {
        for position in start..<batch.events.count {
            let event = batch.events[position]
            let notice: HubNotice?
            do {
                notice = try HubNotice(event, of: configuration.hub)
            } catch {
                batch.removeAll(from: position)
                return .stop(invalid(event, error))
            }
            switch notice {
            case .heartbeat?: break
            case .end(let topic)?: ended = topic
            case .gap?:
                ended = nil
                guard case .following = reading else { break }
                // What follows is at or before the next mark, or comes again after it.
                batch.removeAll(from: position)
                return .gap
            case nil: ended = nil
            }
            isPastMark = true
            if let notice { batch.notices.append((position, notice)) }
        }
        return nil
    }

    /// Permanent: the event would be received again.
    private func invalid(_ event: EventSource.Event, _ cause: any Error) -> EventSourceError {
        let data = event.data.prefix(80)
        let rest = data.endIndex == event.data.endIndex ? "" : "…"
        var error = EventSourceError(
            .invalidHubEvent,
            "\(target.address.string) sent an event of the type \(event.type.debugDescription) without the data of a "
                + "hub's; its data begins with \(String(data).debugDescription)\(rest).",
            cause: cause
        )
        error.advice = "If the stream is not a hub's, iterate the source itself; otherwise check the hub's types."
        return error
    }

    /// Decides when to read the application's state after a gap.
    ///
    /// A gap right after a mark is a failure like a lost connection. Otherwise marks that the hub never holds, such as
    /// those of another hub, would have the application read its state in a tight loop.
    mutating func gap(at now: Duration) -> Action {
        if let openedAt, now - openedAt >= configuration.backoff.resetTime { isPastMark = true }
        if isPastMark {
            failures = 0
            return .askForState(.zero, nil)
        }
        failures += 1
        let error = EventSourceError(
            .gapAfterMark,
            "The hub of \(target.address.string) no longer holds all events after the mark that was read last. Either "
                + "the state takes too long to read, or the mark is not the hub's."
        )
        let action = wait(after: error)
        guard case .wait(let delay, let error) = action else { return action }
        return .askForState(delay, error)
    }
}

extension ConnectionMachine.Target {
    /// Whether this is a hub's stream of a single topic, `GET …/topics/NAME`.
    ///
    /// Then the end of the topic is the end of all that was requested. Of other streams only the hub knows: it answers
    /// the next attempt with 204.
    func isStream(ofTopic topic: String) -> Bool {
        guard method == .get else { return false }
        let path = HTTPAddress.percentDecoded(address.path.utf8)
        guard path.suffix(topic.utf8.count + 8).elementsEqual(Array("/topics/\(topic)".utf8)) else { return false }
        let parameters = (address.query ?? "").utf8.split(separator: UInt8(ascii: "&"))
        return !parameters.contains { parameter in
            let name = HTTPAddress.percentDecoded(parameter.prefix { $0 != UInt8(ascii: "=") })
            return name.elementsEqual("topic".utf8) || name.elementsEqual("match".utf8)
        }
    }
}
