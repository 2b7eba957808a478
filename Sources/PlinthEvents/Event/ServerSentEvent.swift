// SPDX-License-Identifier: Apache-2.0

/// An event of an event stream: what a server sends and a client's `EventSource` receives.
///
/// String literals are checked by the compiler's call and need no `try`; strings that are only known at run time go
/// through the throwing initializer:
///
/// ```swift
/// let a = ServerSentEvent(type: "counter", data: "\(n)")
/// let b = try ServerSentEvent(type: request.name, data: text, id: row.id)
/// ```
///
/// An event that would break out of its fields on the wire cannot be built: ``type`` and ``id`` hold no line breaks, so
/// that one publisher cannot forge events for another. ``data`` may hold anything; its lines are sent as separate
/// `data` fields and joined again by the reader, with every line break read back as a line feed.
///
/// Events are equal when their strings have the same bytes. `String`'s own `==` also joins canonically equivalent
/// strings, which are different on the wire.
///
/// See the HTML standard, section [9.2.5](https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream).
public struct ServerSentEvent: Sendable {
    /// All parts: type and ID, checked, nil for `message` and for none; the reconnection time in milliseconds,
    /// 0...maximumRetry, −1 for none, which is half the size of a `Duration?`; the data.
    ///
    /// One property, so that the optimizer sees through an event that is built to be encoded: one whose properties are
    /// set one by one is put together in memory, and references to its strings are counted.
    @usableFromInline typealias Parts = (type: String?, id: String?, retry: Int64, data: String)
    @usableFromInline private(set) var parts: Parts

    /// The data, which may have any number of lines.
    @inlinable public var data: String {
        get { parts.data }
        // In place, for what appends to it.
        _modify { yield &parts.data }
    }

    /// Creates an event of checked parts, or of literals.
    ///
    /// - Parameters:
    ///   - type: The event's type; nil, the default, for `message`.
    ///   - data: The data; line breaks in it are kept (as line feeds).
    ///   - id: The ID with which a client that lost its connection asks for what followed; nil, the default, for none,
    ///     and the empty ID to make clients forget the last one.
    ///   - retry: The reconnection time for clients; nil, the default, for none.
    /// - Precondition: `retry` is a whole number of milliseconds from 0 to 2^53 − 1. For a duration from outside use
    ///   the initializer that throws.
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

    /// Creates an event of strings that are only known at run time.
    ///
    /// - Parameters:
    ///   - type: The event's type, not empty, without CR and LF; nil for `message`.
    ///   - data: The data; line breaks in it are kept (as line feeds).
    ///   - id: The ID, without CR, LF and NUL; nil for none, and empty to make clients forget the last one.
    ///   - retry: The reconnection time for clients, a whole number of milliseconds from 0 to 2^53 − 1; nil for none.
    /// - Throws: A ``ServerSentEventError`` that says which part cannot be sent, and why.
    @inlinable
    @_disfavoredOverload  // so that literals, nil and omitted parts choose the one that does not throw
    public init(
        type: String? = nil,
        data: String,
        id: String? = nil,
        retry: Duration? = nil
    ) throws(ServerSentEventError) {
        // Nearly all pass at a glance; the others are looked at closely, to find the error or that there is none.
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

    /// The event's type, the `event` field, never empty; nil for the default, `message`.
    @inlinable public var type: String? { parts.type }

    /// The event's ID; nil if it has none, empty if it makes clients forget the last event ID.
    @inlinable public var id: String? { parts.id }

    /// The reconnection time sent with the event, in whole milliseconds; nil if none is.
    @inlinable public var retry: Duration? { parts.retry < 0 ? nil : .milliseconds(parts.retry) }

    /// The same event with another ID.
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
    /// Whether a type that is not empty and an ID are short and have no byte that could be forbidden.
    @usableFromInline
    @inline(never)
    static func isPlain(type: String?, id: String?) -> Bool {
        guard let type = ShortString(type), type.count != 0, ShortString(id) != nil else { return false }
        return true
    }

    /// Checks the parts that could be wrong, and returns the reconnection time in milliseconds, −1 for none.
    @usableFromInline
    @inline(never)
    static func check(type: String?, id: String?, retry: Duration?) throws(ServerSentEventError) -> Int64 {
        var milliseconds: Int64 = -1
        if let retry {
            guard let whole = Self.milliseconds(retry) else { throw .retry(retry) }
            milliseconds = whole
        }
        // Those that are long pass at a glance as well.
        if let type, type.isEmpty || type.hasLowByte { _ = try EventType(type) }
        if let id, id.hasLowByte { _ = try ID(id) }
        return milliseconds
    }

    /// The largest reconnection time in milliseconds: the largest integer that a JavaScript number holds exactly.
    static let maximumRetry: Int64 = 1 << 53 - 1

    /// The duration in milliseconds if it can be sent: whole, and from 0 to ``maximumRetry``.
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

    /// Whether two events are the same on the wire, byte for byte.
    ///
    /// - Parameters:
    ///   - lhs: An event.
    ///   - rhs: Another event.
    /// - Returns: True if all parts have the same bytes.
    public static func == (lhs: ServerSentEvent, rhs: ServerSentEvent) -> Bool {
        lhs.checkedType == rhs.checkedType && lhs.checkedID == rhs.checkedID
            && lhs.parts.retry == rhs.parts.retry && lhs.data.hasSameBytes(as: rhs.data)
    }

    /// Hashes the bytes of all parts.
    ///
    /// - Parameter hasher: Takes the bytes.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(checkedType)
        hasher.combine(checkedID)
        hasher.combine(parts.retry)
        data.hashBytes(into: &hasher)
    }
}

extension ServerSentEvent: CustomStringConvertible {
    /// The event as Swift would write it, for logs.
    public var description: String {
        var parts: [String] = []
        if let type { parts.append("type: \(type.debugDescription)") }
        parts.append("data: \(data.debugDescription)")
        if let id { parts.append("id: \(id.debugDescription)") }
        if let retry { parts.append("retry: \(retry)") }
        return "ServerSentEvent(\(parts.joined(separator: ", ")))"
    }
}
