// SPDX-License-Identifier: Apache-2.0

/// A server-sent event as borrowed bytes, for the duration of a call.
///
/// ``ServerSentEventParser/parseBorrowed(_:event:comment:fields:)-(Span<UInt8>,_,_,_)`` passes views to its closures,
/// without creating strings or allocating. The bytes are unchanged from the stream and may be invalid UTF-8. To repair
/// them as the standard requires, convert the view with ``ServerSentEvent/init(_:)``; to check them, use
/// `UTF8Span(validating:)`.
public struct ServerSentEventView: ~Escapable, BitwiseCopyable {
    /// The type (the `event` field); empty for the default, `message`.
    public let type: Span<UInt8>

    /// The data, with lines separated by LF.
    public let data: Span<UInt8>

    /// The last event ID as of this event, from which a client resumes; empty for none.
    ///
    /// The event's own ID if it has one, otherwise that of an earlier event.
    public let lastEventID: Span<UInt8>

    @usableFromInline let hasID: Bool
    /// False for a block that dispatches no event.
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

    /// The event's own ID; nil for none, empty to reset the last event ID.
    public var id: Span<UInt8>? {
        @_lifetime(copy self)
        @inlinable get { hasID ? lastEventID : nil }
    }

    /// The reconnection time sent with the event; nil for none.
    @inlinable public var retry: Duration? { retryMilliseconds < 0 ? nil : .milliseconds(retryMilliseconds) }
}

extension ServerSentEvent {
    /// Copies a borrowed event, repairing invalid UTF-8 as the Encoding standard's decoder does.
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
    /// Appends the encoded event to an array, as a proxy forwards it: its type, its own ID, its reconnection time and
    /// its data, with the bytes unchanged.
    ///
    /// A block without data, which the parser passes to `fields`, is encoded without data.
    ///
    /// - Parameter buffer: The array to append to.
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
    /// Appends an encoded event whose data is UTF-8 bytes, without creating a string.
    ///
    /// - Parameters:
    ///   - type: The event's type. Default: nil, for `message`.
    ///   - data: The data in UTF-8, not validated. Its line breaks are sent as line feeds.
    ///   - id: The ID; empty resets the client's last event ID. Default: nil, for none.
    ///   - buffer: The array to append to.
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
