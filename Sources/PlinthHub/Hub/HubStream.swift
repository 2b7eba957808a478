// SPDX-License-Identifier: Apache-2.0

/// A subscriber's stream, as observers see it.
public struct HubStream: Sendable {
    /// How events reach a subscriber.
    public struct Transport: Sendable, Hashable, CustomStringConvertible {
        /// The transport as text, as metrics label it.
        public let description: String

        /// Within the process.
        public static let process = Transport(description: "process")
        /// On a socket that a reactor of the hub serves.
        public static let reactor = Transport(description: "reactor")
        /// On an event loop of the server: TLS, HTTP/2, and where there is no reactor.
        public static let eventLoop = Transport(description: "event-loop")
    }

    /// A number that is unique within the hub.
    public let id: UInt64
    /// The events that it receives.
    public let selection: Selection
    /// Where it began.
    public let start: StreamStart
    /// How its events reach the subscriber.
    public let transport: Transport
    /// Who opened it; nil if the request was anonymous.
    public let subject: HubSubject?
    /// The value that the application attached when it admitted the stream.
    public let attachment: (any Sendable)?
}
