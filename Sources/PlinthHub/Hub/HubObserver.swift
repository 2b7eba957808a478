// SPDX-License-Identifier: Apache-2.0

/// A subscriber's stream, as observers see it.
public struct HubStream: Sendable {
    /// How its bytes travel.
    public enum Transport: String, Sendable, Hashable {
        /// Within the process.
        case process
        /// On a socket of the hub's own.
        case reactor
        /// On an event loop of the server: TLS, HTTP/2, and where there is no reactor.
        case eventLoop = "event-loop"
    }

    /// A number of its own, within this hub.
    public let id: UInt64
    /// What it gets.
    public let selection: Selection
    /// Where it began.
    public let start: StreamStart
    /// How its bytes travel.
    public let transport: Transport
    /// What whoever admitted it has attached.
    public let attachment: (any Sendable)?
}

/// Is told of streams as they begin and end.
///
/// Calls come from the threads that serve streams: return quickly, and hand longer work to a task.
public protocol HubObserver: Sendable {
    /// A stream begins: its head is about to be written.
    func streamBegan(_ stream: HubStream)

    /// A stream has ended and its connection is closed.
    ///
    /// - Parameters:
    ///   - stream: The stream.
    ///   - end: Why.
    func streamEnded(_ stream: HubStream, _ end: StreamEnd)
}
