// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import NIOHTTP1
import Plinth

extension RequestMachine {
    /// Something else serves the connection from now on: the response is a stream.
    mutating func leave() {
        releaseForStream()
        phase = .left
    }

    /// The connection is handed off once the stream's opening is written, within the write timeout of any response.
    mutating func handOff(now: MonotonicTime) {
        releaseForStream()
        phase = .handingOff(.clientClosed)
        rearm(now)
    }

    private mutating func releaseForStream() {
        waiting.removeAll()
        badInput = nil
        deadline = .distantFuture
        guard let current else { return }
        // A reader of the rest of the body would wait forever: a stream's connection reads no body.
        if !current.hasReceivedAll { actions.append(.bodyFailure(RequestBodyLost())) }
        // What has arrived can be read as long as the stream lasts.
        actions.append(.release(discardsBody: false))
    }

    /// The opening is written, or never will be.
    ///
    /// - Returns: Why a stream that cannot begin ends.
    mutating func openingIsWritten() -> StreamEnd {
        guard case .handingOff(let end) = phase else { return .clientClosed }
        phase = .left
        deadline = .distantFuture
        return end
    }

    /// Completes the body of a stream that did not begin.
    mutating func endStream(_ framing: ResponseFraming, now: MonotonicTime) {
        endLast(framing, isUploading: false, now)
    }

    // MARK: - Closing

    /// Writes the end of the last response, and closes once it is written.
    mutating func endLast(_ framing: ResponseFraming, isUploading: Bool, _ now: MonotonicTime) {
        if case .serving = phase { actions.append(.release(discardsBody: true)) }
        phase = .ending(lingers: true, isUploading: isUploading)
        waiting.removeAll()
        badInput = nil
        actions.append(.last(framing))
        rearm(now)
        resumeReading()
    }

    /// Closes a connection between requests when the client has taken the last response.
    mutating func closeWhenWritten(_ now: MonotonicTime) {
        phase = .ending(lingers: false, isUploading: false)
        waiting.removeAll()
        actions.append(.last(nil))
        rearm(now)
    }

    /// Closes a connection whose client sends too much of an unread body.
    mutating func stopServing(_ now: MonotonicTime) {
        actions.append(.release(discardsBody: true))
        phase = .ending(lingers: true, isUploading: true)
        waiting.removeAll()
        lastIsWritten(now: now)
    }

    /// The last response is written, or never will be.
    mutating func lastIsWritten(now: MonotonicTime) {
        guard case .ending(let lingers, let isUploading) = phase else { return }
        // The client may still be sending: closing at once would reset the connection, and the client could lose the
        // response (RFC 9112, section 9.6). So the output is closed first, and the rest once the client has closed its
        // side. On HTTP/2 this concerns one stream, whose output has just been closed: some clients lose a response
        // when their upload is reset.
        guard lingers, isSocket ? !hasInputClosed : isUploading else { return actions.append(.close) }
        phase = .lingering(until: now + limits.lingerTimeout, isUploading: isUploading)
        if isSocket { actions.append(.closeOutput) }
        rearm(now)
        // Input held back while a handler did not keep up is discarded now.
        resumeReading()
    }

    /// Discards input after the last response.
    mutating func discard(_ part: HTTPServerRequestPart) {
        guard !isSocket else { return }
        switch part {
        case .head: break
        case .body(let buffer):
            discarded += buffer.readableBytes
            if case .lingering = phase, discarded > Limits.maximumDiscarded { stopLingering() }
        case .end:
            switch phase {
            case .ending(let lingers, _): phase = .ending(lingers: lingers, isUploading: false)
            case .lingering(let until, _):
                phase = .lingering(until: until, isUploading: false)
                actions.append(.close)
            case .waiting, .serving, .handingOff, .left, .closed: break
            }
        }
    }

    mutating func stopLingering() {
        if case .lingering(_, isUploading: true) = phase { actions.append(.stopUpload) }
        actions.append(.close)
    }
}

#endif
