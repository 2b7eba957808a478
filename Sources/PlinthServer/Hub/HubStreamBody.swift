// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthHub

/// A stream that may begin: it was granted, located in history, and has its permit.
struct AdmittedStream: Sendable {
    let selection: Selection
    let start: StreamStart
    let located: LocatedStart
    var form: StreamForm
    /// Whose it is; nil without an authorizer.
    let owner: StreamOwner?
    /// How long it may last; nil for no limit.
    ///
    /// Asked when it has its connection: until then its client may have taken its time.
    let lifetime: @Sendable () -> Duration?
    let permit: OpenPermit
}

/// A hub's stream as the body of a response.
struct HubStreamBody: HandedOffBody {
    let service: HubService
    private let admitted: AdmittedStream

    init(_ service: HubService, _ admitted: AdmittedStream) {
        self.service = service
        self.admitted = admitted
    }

    func stream(isChunked: Bool) -> AdmittedStream {
        var stream = admitted
        stream.form = StreamForm(isChunked: isChunked, namesTopic: stream.form.namesTopic)
        return stream
    }

    /// The bytes sent with the head: a comment, so that every client opens, and the reconnection time.
    ///
    /// A live stream also gets the ID of its start, so that a client that reconnects before its first event misses
    /// nothing.
    var preamble: [UInt8] {
        var bytes: [UInt8] = []
        EventStreamBlock.comment("").encode(into: &bytes)
        bytes += service.hub.options.retryBlock()
        if case .live = admitted.start, let position = admitted.located.position {
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
        let stream = service.addMemoryStream(on: connection)
        var request = service.streamRequest(self.stream(isChunked: false), .process)
        request.onEnd = { [service, onEnd = request.onEnd] end in
            service.removeMemoryStream(stream)
            onEnd(end)
        }
        stream.begin(request, opening: preamble)
        // A shutdown that began meanwhile may have missed it.
        if service.isDraining { stream.drain() }
        return stream
    }
}

#endif
