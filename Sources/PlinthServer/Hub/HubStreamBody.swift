// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthHub

/// A stream of a hub as the body of a response.
struct HubStreamBody: HandedOffBody {
    /// A stream on its way to whoever serves it.
    struct Request: Sendable {
        let selection: Selection
        let start: StreamStart
        let located: LocatedStart
        let form: StreamForm
        let attachment: (any Sendable)?
        let permit: StreamPermit
    }

    let service: HubService
    let selection: Selection
    let start: StreamStart
    let located: LocatedStart
    let namesTopic: Bool
    let attachment: (any Sendable)?
    let permit: StreamPermit

    func request(isChunked: Bool) -> Request {
        Request(
            selection: selection,
            start: start,
            located: located,
            form: StreamForm(isChunked: isChunked, namesTopic: namesTopic),
            attachment: attachment,
            permit: permit
        )
    }

    /// What goes out with the head: a comment, so that every client opens, the reconnection time, and for a stream that
    /// begins with what comes next, the ID from which that is: a client that reconnects before it has had an event misses
    /// nothing then.
    var preamble: [UInt8] {
        var bytes: [UInt8] = []
        EventStreamBlock.comment("").encode(into: &bytes)
        bytes += service.hub.options.retryBlock()
        if case .live = start, let position = located.position {
            let id = try? ServerSentEvent.ID(service.hub.history.id(at: position).description)
            if let id {
                // In one block with the reconnection time: some readers make an event of each blank line.
                bytes.removeLast()
                EventStreamBlock.lastEventID(id).encode(into: &bytes)
            }
        }
        return bytes
    }

    func eventStream() -> EventStream {
        let hub = service.hub.options
        var options = EventStreamOptions(
            heartbeat: .off,
            retry: hub.drawRetry(),
            writeTimeout: hub.writeTimeout,
            maximumAge: hub.maximumAge
        )
        if let interval = hub.heartbeat {
            options.heartbeat = hub.heartbeatBlock.map { .event($0, every: interval) } ?? .every(interval)
        }
        return EventStream(options: options) { events in
            defer { permit.release() }
            do {
                try await service.hub.subscribe(selection, from: start) { updates in
                    for try await update in updates {
                        let event =
                            switch update {
                            case .event(let event): event.sent(namesTopic: namesTopic)
                            case .gap(let gap): gap.event(type: service.hub.options.gapType)
                            }
                        guard await events.send(event) else { return }
                    }
                }
            } catch let error as HubError where error.code == .lagged {
                events.end(.lagged)
            }
        }
    }
}

#endif
