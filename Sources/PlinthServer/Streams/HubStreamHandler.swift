// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import Plinth
import PlinthHub

/// A hub's stream on its connection: over TLS or HTTP/2, or where there is no reactor.
///
/// Events that the connection does not take stay in history.
final class HubStreamHandler: StreamOutlet, HubConnection {
    /// The most bytes buffered for a connection.
    private static var room: Int { 64 * 1024 }

    private let group: HubLoopGroup
    private let request: StreamRequest
    private var slot: Int?
    private var isDraining = false
    /// Whether the group waits for room, since the last write was partial.
    private var isBlocked = false
    /// Whether the group reports the stream's end: true once the stream is added to it.
    private var isWithGroup = false

    init(
        _ request: StreamRequest,
        of group: HubLoopGroup,
        on connection: StreamConnection
    ) {
        self.group = group
        self.request = request
        super.init(connection)
    }

    override func start() {
        isWithGroup = true
        let slot = group.add(self, request)
        // The stream may be over already: the first write found the client gone, or there was nothing more to send.
        guard !isOver else { return group.remove(self, slot, .clientClosed) }
        self.slot = slot
        if isDraining { drain() }
    }

    override func ended(_ end: StreamEnd) {
        if let slot { group.remove(self, slot, end) } else if !isWithGroup { request.onEnd(end) }
        slot = nil
    }

    override func drain() {
        isDraining = true
        if let slot { group.end(self, slot, .serverDraining) }
    }

    override func hasRoom() {
        if isBlocked, let slot { group.isWritable(self, slot) }
    }

    override func hasProgressed() {
        if isBlocked, let slot { group.hasProgressed(self, slot) }
    }

    // MARK: - From the group

    func write(_ bytes: UnsafeRawBufferPointer) -> StreamWrite {
        let write = send(bytes, room: Self.room)
        isBlocked = write != .took(bytes.count)
        return write
    }

    func finish(_ end: StreamEnd) {
        // The group has removed this connection.
        slot = nil
        // The group's last write has completed a chunked body.
        finish(end, isComplete: framing.isChunked)
    }
}

#endif
