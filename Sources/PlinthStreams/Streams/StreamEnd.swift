// SPDX-License-Identifier: Apache-2.0

/// Why a stream ended: an application's event stream, or a hub's.
///
/// More reasons may be added; a `switch` over them needs a `default`.
public struct StreamEnd: Sendable, Hashable, CustomStringConvertible {
    private enum Kind: UInt8 {
        case clientClosed, writeFailed, timedOut, lagged, serverDraining, expired
        case applicationClosed, applicationFailed
        case ended, historyFailed
    }

    private let kind: Kind

    private init(_ kind: Kind) {
        self.kind = kind
    }

    // MARK: - Of every stream

    /// The client left: it closed its side of the connection, or reset it.
    ///
    /// A half-close counts.
    public static let clientClosed = StreamEnd(.clientClosed)
    /// Writing to the connection failed.
    public static let writeFailed = StreamEnd(.writeFailed)
    /// The client took nothing of what waited for it during the write timeout.
    public static let timedOut = StreamEnd(.timedOut)
    /// The client fell behind: further than a buffer that disconnects holds, or behind a history whose gap policy closes.
    public static let lagged = StreamEnd(.lagged)
    /// The server is shutting down.
    public static let serverDraining = StreamEnd(.serverDraining)
    /// The stream reached its maximum age.
    public static let expired = StreamEnd(.expired)

    // MARK: - Of an application's stream

    /// The application closed the channel, or its ready function returned.
    public static let applicationClosed = StreamEnd(.applicationClosed)
    /// The ready function threw an error.
    public static let applicationFailed = StreamEnd(.applicationFailed)

    // MARK: - Of a hub's stream

    /// The application or an operator ended it.
    public static let ended = StreamEnd(.ended)
    /// History could not be read.
    public static let historyFailed = StreamEnd(.historyFailed)

    /// The reasons for which a hub's streams end.
    package static let ofHubs: [StreamEnd] = [
        .clientClosed, .writeFailed, .timedOut, .lagged, .serverDraining, .expired, .ended, .historyFailed,
    ]

    /// Whether the server completes the body, and waits until the client has it.
    package var completesBody: Bool {
        switch kind {
        case .clientClosed, .writeFailed, .timedOut: false
        default: true
        }
    }

    /// A word for logs and metric labels, such as `client-closed`: one for each reason.
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
        }
    }
}
