// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthHub

/// A stream of a hub as the body of a response.
struct HubStreamBody: HandedOffBody {
    /// What a stream's server needs to begin it.
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

    /// The bytes sent with the head: a comment, so that every client opens, and the reconnection time.
    ///
    /// A live stream also gets the ID of its start, so that a client that reconnects before its first event misses
    /// nothing.
    var preamble: [UInt8] {
        var bytes: [UInt8] = []
        EventStreamBlock.comment("").encode(into: &bytes)
        bytes += service.hub.options.retryBlock()
        if case .live = start, let position = located.position {
            let id = try? ServerSentEvent.ID(service.hub.history.id(at: position).description)
            if let id {
                // In one block with the reconnection time: some readers take each blank line for an event.
                bytes.removeLast()
                EventStreamBlock.lastEventID(id).encode(into: &bytes)
            }
        }
        return bytes
    }

    func begin(on connection: any MemoryConnection) -> any MemoryStream {
        let stream = service.hub.add { HubMemoryStream(hub: service.hub, head: $0, connection: connection) }
        stream.begin(service.streamRequest(request(isChunked: false), .process), opening: preamble)
        return stream
    }
}

#endif
