// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import Plinth

extension RequestMachine {
    /// What to do next.
    enum Action {
        /// Begins a request, which is in progress now.
        indirect case start(HTTPRequest, RequestInProgress)
        /// Runs the request that was begun, with what has arrived of its body.
        case run
        /// Cancels the request's task.
        case cancel
        /// Gives bytes of the body to the request; answered with ``RequestMachine/bodyIsFull()`` if it takes no more.
        case bodyPart(ByteBuffer)
        case bodyEnd
        case bodyFailure(any Error)
        /// A shutdown has begun.
        case bodyDrain
        /// Forgets the request: its writers fail, and what it has not read of its body is lost if `discardsBody`.
        case release(discardsBody: Bool)
        /// Resumes the writers that wait for room.
        case resumeWriters
        /// Decides whether the writers have to wait; answered with ``RequestMachine/settleWriters(now:)``.
        case settleWriters
        indirect case head(Response, ResponseFraming)
        indirect case bytes([UInt8], ResponseFraming)
        /// `100 Continue` (RFC 9110, section 15.2.1).
        case proceed
        case end(ResponseFraming)
        case flush
        /// Writes the end of a last response, if there is one, and flushes; answered with
        /// ``RequestMachine/lastIsWritten(now:)`` when everything is written, or never will be.
        case last(ResponseFraming?)
        /// Continues with what was received meanwhile; answered with ``RequestMachine/takeWaiting(now:)``.
        case takeWaiting
        /// Reads, if ``RequestMachine/readIsPossible()`` still says so.
        case read
        /// Answered with ``RequestMachine/measured(_:)``: the bytes that wait for the socket.
        case measure
        case closeOutput
        /// Makes a client stop sending a request that has been answered (HTTP/2).
        case stopUpload
        case close
        /// A limit refused the request.
        case countRefusal(CountedLimit)
        /// A response's body ended before its announced length.
        case reportShortBody(announced: Int, written: Int)
    }
}

#endif
