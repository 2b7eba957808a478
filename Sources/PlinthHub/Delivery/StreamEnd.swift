// SPDX-License-Identifier: Apache-2.0

/// Why a subscriber's stream ended.
public enum StreamEnd: String, Sendable, Hashable, CaseIterable, CustomStringConvertible {
    /// The client left: it closed or reset its connection.
    case clientClosed = "client-closed"
    /// Writing to its connection failed.
    case writeFailed = "write-failed"
    /// Its connection took nothing for too long.
    case timedOut = "timed-out"
    /// It lagged behind what history holds, and the hub closes such streams.
    case lagged
    /// The server is shutting down.
    case serverDraining = "server-draining"
    /// The hub ended it: on an operator's or the application's request.
    case ended
    /// It has had its time.
    case expired
    /// History could not be read.
    case historyFailed = "history-failed"

    /// The text form.
    public var description: String { rawValue }
}
