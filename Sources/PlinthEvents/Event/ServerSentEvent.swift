// SPDX-License-Identifier: Apache-2.0

/// An event of an event stream: what a server sends and a client's `EventSource` receives.
///
/// String literals need no `try`: an invalid one traps. Strings only known at run time use the throwing initializer:
///
/// ```swift
/// let a = ServerSentEvent(type: "counter", data: "\(n)")
/// let b = try ServerSentEvent(type: request.name, data: text, id: row.id)
/// ```
///
/// An event that would break out of its fields on the wire cannot be built: ``type`` and ``id`` contain no line breaks,
/// so one publisher cannot forge another's events. ``data`` may contain anything. Its lines are sent as separate `data`
/// fields, and the reader joins them with line feeds.
///
/// Events are equal if their strings have the same bytes. `String`'s own `==` also equates canonically equivalent
/// strings, which differ on the wire.
///
/// See the HTML standard, section [9.2.5](https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream).
public struct ServerSentEvent: Sendable {
    /// The validated type (nil for `message`), the validated ID (nil for none), the reconnection time in milliseconds
    /// (0...maximumRetry, −1 for none: half the size of a `Duration?`), and the data.
    ///
    /// A single property lets the optimizer eliminate an event that is built only to be encoded. With separate
    /// properties it assembles the event in memory and retains its strings.
    @usableFromInline typealias Parts = (type: String?, id: String?, retry: Int64, data: String)
    @usableFromInline private(set) var parts: Parts

    /// The data: any number of lines.
    @inlinable public var data: String {
        get { parts.data }
        // Appends in place, without a copy.
        _modify { yield &parts.data }
    }

    /// Creates an event from validated parts or literals.
    ///
    /// - Parameters:
    ///   - type: The event's type. Default: nil, for `message`.
    ///   - data: The data. Its line breaks are sent as line feeds.
    ///   - id: The ID from which a client resumes after it reconnects. The empty ID resets the client's last event ID.
    ///     Default: nil, for none.
    ///   - retry: The reconnection time for clients. Default: nil, for none.
    /// - Precondition: `retry` is a whole number of milliseconds from 0 to 2^53 − 1. Use the throwing initializer for
    ///   a duration from an untrusted source.
    public init(type: EventType? = nil, data: String, id: ID? = nil, retry: Duration? = nil) {
        var milliseconds: Int64 = -1
        if let retry {
            guard let whole = Self.milliseconds(retry) else {
                preconditionFailure(ServerSentEventError.retry(retry).message)
            }
            milliseconds = whole
        }
        self.init(checkedType: type, data: data, checkedID: id, retryMilliseconds: milliseconds)
    }

    /// Creates an event from strings that are only known at run time.
    ///
    /// - Parameters:
    ///   - type: The event's type: not empty, without CR or LF. Default: nil, for `message`.
    ///   - data: The data. Its line breaks are sent as line feeds.
    ///   - id: The ID, without CR, LF or NUL; empty resets the client's last event ID. Default: nil, for none.
    ///   - retry: The reconnection time for clients: a whole number of milliseconds from 0 to 2^53 − 1. Default: nil,
    ///     for none.
    /// - Throws: ``ServerSentEventError`` if a part cannot be sent; its message names the part and the reason.
    @inlinable
    @_disfavoredOverload  // Literals, nil and omitted parts resolve to the non-throwing initializer.
    public init(
        type: String? = nil,
        data: String,
        id: String? = nil,
        retry: Duration? = nil
    ) throws(ServerSentEventError) {
        // Fast path: nearly all pass. The rest get the full check, which finds the error, if any.
        var milliseconds: Int64 = -1
        if retry != nil || !Self.isPlain(type: type, id: id) {
            milliseconds = try Self.check(type: type, id: id, retry: retry)
        }
        let parts: Parts = (type, id, milliseconds, data)
        self.parts = parts
    }

    @inlinable
    @inline(__always)
    init(checkedType: EventType?, data: String, checkedID: ID?, retryMilliseconds: Int64) {
        parts = (checkedType?.rawValue, checkedID?.rawValue, retryMilliseconds, data)
    }

    /// The event's type (the `event` field), never empty; nil for the default, `message`.
    @inlinable public var type: String? { parts.type }

    /// The event's ID; nil for none, empty to reset the client's last event ID.
    @inlinable public var id: String? { parts.id }

    /// The reconnection time sent with the event, in whole milliseconds; nil for none.
    @inlinable public var retry: Duration? { parts.retry < 0 ? nil : .milliseconds(parts.retry) }

    /// Returns the event with another ID.
    ///
    /// - Parameter id: The new ID, or nil for none.
    /// - Returns: The event with that ID.
    public func withID(_ id: ID?) -> ServerSentEvent {
        var event = self
        event.parts.id = id?.rawValue
        return event
    }
}

extension ServerSentEvent {
    /// Whether the type is short and not empty, the ID is short, and neither has a byte that may be forbidden.
    @usableFromInline
    @inline(never)
    static func isPlain(type: String?, id: String?) -> Bool {
        guard let type = ShortString(type, isChecked: false), type.count != 0,
            ShortString(id, isChecked: false) != nil
        else { return false }
        return true
    }

    /// Validates the parts, and returns the reconnection time in milliseconds, −1 for none.
    @usableFromInline
    @inline(never)
    static func check(type: String?, id: String?, retry: Duration?) throws(ServerSentEventError) -> Int64 {
        var milliseconds: Int64 = -1
        if let retry {
            guard let whole = Self.milliseconds(retry) else { throw .retry(retry) }
            milliseconds = whole
        }
        // Fast path for long strings.
        if let type, type.isEmpty || type.hasLowByte { _ = try EventType(type) }
        if let id, id.hasLowByte { _ = try ID(id) }
        return milliseconds
    }

    /// The largest reconnection time in milliseconds: the largest integer that a JavaScript number holds exactly.
    static let maximumRetry: Int64 = 1 << 53 - 1

    /// The duration in milliseconds; nil unless it is whole and from 0 to ``maximumRetry``.
    @usableFromInline
    static func milliseconds(_ duration: Duration) -> Int64? {
        let (seconds, attoseconds) = duration.components
        let (fraction, rest) = attoseconds.quotientAndRemainder(dividingBy: 1_000_000_000_000_000)
        guard seconds >= 0, fraction >= 0, rest == 0, seconds <= maximumRetry / 1000 else { return nil }
        let milliseconds = seconds * 1000 + fraction
        return milliseconds <= maximumRetry ? milliseconds : nil
    }
}

extension ServerSentEvent: Hashable {
    private var checkedType: EventType? { parts.type.map(EventType.init(unchecked:)) }
    private var checkedID: ID? { parts.id.map(ID.init(unchecked:)) }

    /// Whether all parts of two events have the same bytes.
    public static func == (lhs: ServerSentEvent, rhs: ServerSentEvent) -> Bool {
        lhs.checkedType == rhs.checkedType && lhs.checkedID == rhs.checkedID
            && lhs.parts.retry == rhs.parts.retry && lhs.data.hasSameBytes(as: rhs.data)
    }

    /// Hashes the bytes of all parts.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(checkedType)
        hasher.combine(checkedID)
        hasher.combine(parts.retry)
        data.hashBytes(into: &hasher)
    }
}

extension ServerSentEvent: CustomStringConvertible {
    /// The event in Swift syntax, for logs.
    public var description: String {
        var parts: [String] = []
        if let type { parts.append("type: \(type.debugDescription)") }
        parts.append("data: \(data.debugDescription)")
        if let id { parts.append("id: \(id.debugDescription)") }
        if let retry { parts.append("retry: \(retry)") }
        return "ServerSentEvent(\(parts.joined(separator: ", ")))"
    }
}
