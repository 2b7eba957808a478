// SPDX-License-Identifier: Apache-2.0

/// Why an application's event stream or a hub's stream ended.
///
/// Reasons may be added: a `switch` over them needs a `default`.
public struct StreamEnd: Sendable, Hashable, CustomStringConvertible {
    private enum Kind: UInt8 {
        case clientClosed, writeFailed, timedOut, lagged, serverDraining, expired
        case applicationClosed, applicationFailed
        case ended, historyFailed, topicsEnded
    }

    private let kind: Kind

    private init(_ kind: Kind) {
        self.kind = kind
    }

    // MARK: - Of every stream

    /// The client closed or reset the connection.
    ///
    /// A half-close counts.
    public static let clientClosed = StreamEnd(.clientClosed)
    /// Writing to the connection failed.
    public static let writeFailed = StreamEnd(.writeFailed)
    /// The client accepted none of the pending bytes within the write timeout, or TCP timed the connection out.
    public static let timedOut = StreamEnd(.timedOut)
    /// The client fell behind: beyond a buffer whose policy disconnects, or a history whose gap policy closes.
    public static let lagged = StreamEnd(.lagged)
    /// The server is shutting down.
    public static let serverDraining = StreamEnd(.serverDraining)
    /// The stream reached its maximum age.
    public static let expired = StreamEnd(.expired)

    // MARK: - Of an application's stream

    /// The application closed the channel, or the ready function returned.
    public static let applicationClosed = StreamEnd(.applicationClosed)
    /// The ready function threw an error.
    public static let applicationFailed = StreamEnd(.applicationFailed)

    // MARK: - Of a hub's stream

    /// The application or an operator ended the stream.
    public static let ended = StreamEnd(.ended)
    /// The history did not answer in time.
    public static let historyFailed = StreamEnd(.historyFailed)
    /// All topics of the stream have ended, and the client has received their ends.
    public static let topicsEnded = StreamEnd(.topicsEnded)

    /// The reasons for which a hub's stream can end.
    package static let ofHubs: [StreamEnd] = [
        .clientClosed, .writeFailed, .timedOut, .lagged, .serverDraining, .expired, .ended, .historyFailed,
        .topicsEnded,
    ]

    /// Whether the server completes the body and waits until the client has received it.
    package var completesBody: Bool {
        switch kind {
        case .clientClosed, .writeFailed, .timedOut: false
        default: true
        }
    }

    /// The reason's name in logs and metric labels, such as `client-closed`.
    public var description: String {
        switch kind {
        case .clientClosed: "client-closed"
        case .writeFailed: "write-failed"
        case .timedOut: "timed-out"
        case .lagged: "lagged"
        case .serverDraining: "server-draining"
        case .expired: "expired"
        case .applicationClosed: "application-closed"
        case .applicationFailed: "application-failed"
        case .ended: "ended"
        case .historyFailed: "history-failed"
        case .topicsEnded: "topics-ended"
        }
    }
}
