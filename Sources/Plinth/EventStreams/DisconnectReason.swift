// SPDX-License-Identifier: Apache-2.0

/// Why an event stream ended.
public struct DisconnectReason: Sendable, Hashable, CustomStringConvertible {
    private enum Kind: String {
        case clientClosed = "client-closed"
        case writeFailed = "write-failed"
        case timedOut = "timed-out"
        case lagged
        case serverDraining = "server-draining"
        case applicationClosed = "application-closed"
        case applicationFailed = "application-failed"
        case expired
    }

    private let kind: Kind

    private init(_ kind: Kind) {
        self.kind = kind
    }

    /// The client left, by closing its side of the connection or by resetting it.
    ///
    /// A half-close counts.
    public static let clientClosed = DisconnectReason(.clientClosed)
    /// The connection broke while it was written to.
    public static let writeFailed = DisconnectReason(.writeFailed)
    /// The client took nothing for ``EventStreamOptions/writeTimeout``.
    public static let timedOut = DisconnectReason(.timedOut)
    /// The client read too slowly for a buffer that disconnects (``EventBufferPolicy/disconnect(_:maximumBytes:)``).
    public static let lagged = DisconnectReason(.lagged)
    /// The server is shutting down.
    public static let serverDraining = DisconnectReason(.serverDraining)
    /// The application closed the channel, or its ready function returned.
    public static let applicationClosed = DisconnectReason(.applicationClosed)
    /// The ready function threw an error.
    public static let applicationFailed = DisconnectReason(.applicationFailed)
    /// The stream reached the age of ``EventStreamOptions/maximumAge``.
    public static let expired = DisconnectReason(.expired)

    /// A word for logs and metric labels, such as `client-closed`.
    ///
    /// There are as many as reasons.
    public var description: String { kind.rawValue }
}
