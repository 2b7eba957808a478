// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import Plinth

extension RequestMachine {
    /// How a response is sent.
    enum Opening {
        /// With its body, by further commands.
        case whole
        /// As an event stream, whose head is not written yet.
        case stream(ResponseFraming)
    }

    /// Begins the response to a request, whose body follows piece by piece, or as a stream.
    ///
    /// - Throws: `CancellationError` if the request is not in progress any more, or has a response.
    mutating func respond(_ response: Response, length: Int?, to number: UInt64) throws -> Opening {
        guard let current, current.number == number, current.framing == nil else { throw CancellationError() }
        var framing = framing(response, current, length: length)
        if response.body.isStream, framing.body == .unknown {
            framing.keepsAlive = false
            if current.method != .head {
                update { $0.framing = framing }
                return .stream(framing)
            }
        }
        begin(response, &framing, current, length)
        actions.append(.flush)
        return .whole
    }

    /// Sends a whole response.
    mutating func respond(_ response: Response, _ bytes: [UInt8], to number: UInt64, now: MonotonicTime) {
        guard let current, current.number == number, current.framing == nil else { return }
        var framing = framing(response, current, length: bytes.count)
        begin(response, &framing, current, bytes.count)
        if !bytes.isEmpty, framing.body != .none {
            update { $0.sentBytes += bytes.count }
            actions.append(.bytes(bytes, framing))
        }
        end(number, now: now)
    }

    mutating func begin(
        _ response: Response,
        _ framing: inout ResponseFraming,
        _ current: RequestInProgress,
        _ length: Int?
    ) {
        var response = response
        if current.method == .head {
            framing.body = .none
            // The length of the body, unless the application has set it.
            if let length, !response.headers.contains(.contentLength), !response.forbidsBody {
                response.headers[.contentLength] = "\(length)"
            }
        }
        let begun = framing
        update {
            $0.framing = begun
            $0.keepsAlive = begun.keepsAlive
        }
        actions.append(.head(response, framing))
    }

    /// How a response to a request is framed.
    private func framing(_ response: Response, _ current: RequestInProgress, length: Int?) -> ResponseFraming {
        var framing = ResponseFraming(version: current.version, body: .unknown, keepsAlive: current.keepsAlive)
        if framing.version < .http1_1 { framing.version = .http1_0 }
        if framing.version > .http1_1, framing.version < .http2 { framing.version = .http1_1 }
        if response.forbidsBody {
            framing.body = .none
        } else if let length {
            framing.body = .length(length)
        } else if framing.version == .http1_0 {
            framing.keepsAlive = false
        }
        // Without `100 Continue` the client may send the body or omit it, so the next input is ambiguous.
        if current.expectsContinue, current.receivedBytes == 0, !current.hasReceivedAll { framing.keepsAlive = false }
        if isDraining { framing.keepsAlive = false }
        // The rest of the body is longer than what is discarded to reach the next request.
        if !current.hasReceivedAll, let length = current.bodyLength,
            length - current.receivedBytes > Limits.maximumDiscarded
        {
            framing.keepsAlive = false
        }
        return framing
    }

    /// Writes a piece of the body; the writer then waits until there is room.
    ///
    /// - Throws: `CancellationError` if the response is over; ``BodyLengthError`` if the piece is too long.
    mutating func write(_ bytes: [UInt8], to number: UInt64) throws {
        guard let current, current.number == number, let framing = current.framing, !current.hasSentAll else {
            throw CancellationError()
        }
        if !bytes.isEmpty, framing.body != .none {
            // The client would take the excess for the next response.
            if case .length(let length) = framing.body, bytes.count > length - current.sentBytes {
                throw BodyLengthError(announced: length)
            }
            update { $0.sentBytes += bytes.count }
            actions.append(.bytes(bytes, framing))
            actions.append(.flush)
        }
        actions.append(.settleWriters)
    }

    /// What was written has been flushed: its writers go on, or wait for room.
    mutating func settleWriters(now: MonotonicTime) {
        guard case .serving = phase else { return }
        if isWritable { return actions.append(.resumeWriters) }
        update { $0.hasWaitingWriters = true }
        rearm(now)
    }

    /// The output has room, or none.
    mutating func writabilityChanged(_ isWritable: Bool, now: MonotonicTime) {
        self.isWritable = isWritable
        guard isWritable else {
            // The last response is not taken at once: from now on its timeout applies.
            if case .waiting = phase { rearm(now) }
            return
        }
        switch phase {
        case .serving(let current):
            guard current.hasWaitingWriters else { return }
            update { $0.hasWaitingWriters = false }
            rearm(now)
            actions.append(.resumeWriters)
        case .waiting:
            rearm(now)
            takeWaiting(now: now)
        case .ending, .lingering, .handingOff, .left, .closed: break
        }
    }

    /// Ends a response that was begun.
    mutating func end(_ number: UInt64, now: MonotonicTime) {
        guard let current, current.number == number, let framing = current.framing, !current.hasSentAll else { return }
        if case .length(let length) = framing.body, current.sentBytes != length {
            actions.append(.reportShortBody(announced: length, written: current.sentBytes))
            return abort(number, now: now)
        }
        isBodyPaused = false
        if !current.keepsAlive || !isSocket {
            return endLast(framing, isUploading: !current.hasReceivedAll, now)
        }
        update { $0.hasSentAll = true }
        actions.append(.release(discardsBody: true))
        actions.append(.end(framing))
        actions.append(.flush)
        if current.hasReceivedAll {
            finish(now)
        } else {
            rearm(now)
            resumeReading()
        }
    }

    /// Gives a response up, so that the client does not take it for complete.
    mutating func abort(_ number: UInt64, now: MonotonicTime) {
        guard let current, current.number == number else { return }
        if current.framing == nil {
            refuse(HTTPError(.internalServerError), nil, now)
        } else {
            abandon()
            actions.append(.close)
        }
    }

    /// The request and its response are complete; continues with the next request.
    mutating func finish(_ now: MonotonicTime) {
        phase = .waiting(hasPartialHead: false)
        rearm(now)
        // Not before the response is flushed: only then is it known whether the client takes it.
        actions.append(.takeWaiting)
    }
}

#endif
