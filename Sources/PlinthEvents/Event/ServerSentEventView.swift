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
    /// False for a block that dispatches nothing.
    @usableFromInline let hasData: Bool
    @usableFromInline let retryMilliseconds: Int64

    @inlinable
    @inline(__always)
    @_lifetime(copy type, copy data, copy lastEventID)
    init(
        type: Span<UInt8>,
        data: Span<UInt8>,
        lastEventID: Span<UInt8>,
        hasID: Bool,
        retryMilliseconds: Int64,
        hasData: Bool = true
    ) {
        self.type = type
        self.data = data
        self.lastEventID = lastEventID
        self.hasID = hasID
        self.hasData = hasData
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
        let id = view.hasID ? ID(unchecked: String(repairing: view.lastEventID)) : nil
        self.init(
            checkedType: type,
            data: String(repairing: view.data),
            checkedID: id,
            retryMilliseconds: view.retryMilliseconds
        )
    }
}

extension ServerSentEventView {
    /// Appends the encoded event to an array, as a proxy passes it on: its type, its own ID, its reconnection time and
    /// its data, with the bytes as they came.
    ///
    /// A block without data, as the parser hands it to `fields`, stays one.
    ///
    /// - Parameter buffer: Where the event is appended.
    /// - Complexity: O(*n*) in the size of the event.
    public func encode(into buffer: inout [UInt8]) {
        unsafe type.withUnsafeBytes { type in
            unsafe data.withUnsafeBytes { data in
                unsafe lastEventID.withUnsafeBytes { lastEventID in
                    let fields = unsafe EncodedFields(
                        type: type.isEmpty ? nil : type,
                        id: hasID ? lastEventID : nil,
                        retry: retryMilliseconds,
                        text: hasData ? data : nil
                    )
                    unsafe fields.append(to: &buffer)
                }
            }
        }
    }
}

extension ServerSentEvent {
    /// Appends an event whose data is bytes already, without a string.
    ///
    /// - Parameters:
    ///   - type: The event's type; nil for `message`.
    ///   - data: The data in UTF-8, which is not checked; line breaks in it are kept (as line feeds).
    ///   - id: The ID; nil for none, and empty to make clients forget the last one.
    ///   - buffer: Where the event is appended.
    /// - Complexity: O(*n*) in the size of the event.
    public static func encode(
        type: EventType? = nil,
        utf8 data: Span<UInt8>,
        id: ID? = nil,
        into buffer: inout [UInt8]
    ) {
        unsafe data.withUnsafeBytes { data in
            unsafe withFields(type: type?.rawValue, data: data, id: id?.rawValue, retry: -1) { fields in
                unsafe fields.append(to: &buffer)
            }
        }
    }
}
