// SPDX-License-Identifier: Apache-2.0

/// A server-sent event as borrowed bytes, for the duration of a call.
///
/// The parser's ``ServerSentEventParser/parseBorrowed(_:event:comment:fields:)-(Span<UInt8>,_,_,_)`` hands these out:
/// no string is made and nothing is allocated. The bytes are as they came from the stream, so they need not be valid
/// UTF-8: where that matters, make an event of it with ``ServerSentEvent/init(_:)``, which repairs it as the standard
/// says, or check with `UTF8Span(validating:)`.
public struct ServerSentEventView: ~Escapable, BitwiseCopyable {
    /// The type, the `event` field; empty for the default, `message`.
    public let type: Span<UInt8>

    /// The data; lines are separated by LF.
    public let data: Span<UInt8>

    /// The last event ID as of this event, with which a client resumes after it; empty if there is none.
    ///
    /// This is the event's own ID if it has one, and otherwise that of an earlier one.
    public let lastEventID: Span<UInt8>

    @usableFromInline let hasID: Bool
    @usableFromInline let retryMilliseconds: Int64

    @inlinable
    @inline(__always)
    @_lifetime(copy type, copy data, copy lastEventID)
    init(
        type: Span<UInt8>,
        data: Span<UInt8>,
        lastEventID: Span<UInt8>,
        hasID: Bool,
        retryMilliseconds: Int64
    ) {
        self.type = type
        self.data = data
        self.lastEventID = lastEventID
        self.hasID = hasID
        self.retryMilliseconds = retryMilliseconds
    }

    /// The event's own ID; nil if it has none, empty if it resets the last event ID.
    public var id: Span<UInt8>? {
        @_lifetime(copy self)
        @inlinable get { hasID ? lastEventID : nil }
    }

    /// The reconnection time that came with the event; nil if none did.
    @inlinable public var retry: Duration? { retryMilliseconds < 0 ? nil : .milliseconds(retryMilliseconds) }
}

extension ServerSentEvent {
    /// Makes an event of borrowed bytes; invalid UTF-8 is repaired as the Encoding standard's decoder does it.
    ///
    /// - Parameter view: The borrowed event.
    public init(_ view: borrowing ServerSentEventView) {
        let type = view.type.isEmpty ? nil : EventType(unchecked: String(repairing: view.type))
        let id = view.hasID ? EventID(unchecked: String(repairing: view.lastEventID)) : nil
        self.init(
            checkedType: type,
            data: String(repairing: view.data),
            checkedID: id,
            retryMilliseconds: view.retryMilliseconds
        )
    }
}
