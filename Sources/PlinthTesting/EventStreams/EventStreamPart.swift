// SPDX-License-Identifier: Apache-2.0

public import Plinth

/// A part of an event stream, as a client reads it.
public enum EventStreamPart: Sendable, Hashable, CustomStringConvertible {
    /// An event.
    case event(ServerSentEvent)
    /// A comment, with the text after the colon.
    case comment(String)
    /// A block that sets an ID or the reconnection time without dispatching an event.
    case fields(id: String?, retry: Duration?)
    /// The end of the body, with the server's reason, which is not sent to a client.
    case end(StreamEnd)

    /// The part in failure messages.
    public var description: String {
        switch self {
        case .event(let event): "\(event)"
        case .comment(let text): "comment \(text.debugDescription)"
        case .fields(let id, let retry):
            "fields" + (id.map { " id: \($0.debugDescription)" } ?? "") + (retry.map { " retry: \($0)" } ?? "")
        case .end(let reason): "end (\(reason))"
        }
    }
}
