// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth

extension RequestMachine {
    /// Sets the deadline of the current state.
    mutating func rearm(_ now: MonotonicTime) {
        lastBuffered = 0
        switch phase {
        case .left, .closed: deadline = .distantFuture
        case .ending, .handingOff: awaitOutput(now)
        case .lingering(let end, _): deadline = min(now + Limits.lingerPause, end)
        case .waiting where !takesPart: awaitOutput(now)
        case .waiting(let hasPartialHead): deadline = now + (hasPartialHead ? limits.headTimeout : limits.idleTimeout)
        case .serving(let current) where current.hasWaitingWriters: awaitOutput(now)
        case .serving(let current) where !current.hasReceivedAll && (current.hasBody || current.hasSentAll):
            deadline = now + (current.pauseLimit ?? limits.bodyTimeout)
        case .serving: deadline = .distantFuture
        }
    }

    private mutating func awaitOutput(_ now: MonotonicTime) {
        deadline = now + limits.writeTimeout
        actions.append(.measure)
    }

    /// The bytes that wait for the socket now.
    mutating func measured(_ buffered: Int) {
        lastBuffered = buffered
    }

    /// The deadline may have passed.
    ///
    /// - Parameters:
    ///   - now: The time.
    ///   - buffered: The bytes that wait for the socket.
    ///   - body: How the request's handler waits for bytes of the body; nil if the request has none.
    mutating func time(now: MonotonicTime, buffered: Int, body: BodyWait?) {
        guard now >= deadline else { return }
        switch phase {
        case .left, .closed:
            deadline = .distantFuture
        case .serving(let current) where !current.hasWaitingWriters && !current.hasSentAll:
            awaitBody(current, now, body)
        case .lingering:
            deadline = .distantFuture
            stopLingering()
        case .serving, .ending, .handingOff, .waiting:
            // A slow client that makes progress gets more time, and one whose progress was not watched yet.
            if buffered > 0, buffered < lastBuffered || lastBuffered == 0 {
                lastBuffered = buffered
                deadline = now + limits.writeTimeout
                return
            }
            deadline = .distantFuture
            giveUp(now)
        }
    }

    private mutating func giveUp(_ now: MonotonicTime) {
        switch phase {
        case .waiting(hasPartialHead: true) where takesPart:
            refuse(HTTPError(.requestTimeout, "the head of the request did not arrive in time"), nil, now)
        case .handingOff:
            phase = .handingOff(.timedOut)
            actions.append(.close)
        case .waiting, .serving, .ending, .lingering, .left, .closed:
            abandon()
            actions.append(.close)
        }
    }

    private mutating func awaitBody(_ current: RequestInProgress, _ now: MonotonicTime, _ body: BodyWait?) {
        deadline = .distantFuture
        guard let body, !current.hasReceivedAll else { return }
        // Only the time during which a handler waits counts.
        let due = (body.since ?? now) + (body.limit ?? limits.bodyTimeout)
        guard now >= due else { return deadline = due }
        update { $0.keepsAlive = false }
        actions.append(.bodyFailure(HTTPError(.requestTimeout, "the body of the request did not arrive in time")))
    }
}

#endif
