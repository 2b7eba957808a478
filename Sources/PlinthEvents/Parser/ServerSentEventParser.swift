// SPDX-License-Identifier: Apache-2.0

/// An incremental parser of event streams, following the HTML standard, section
/// [9.2.6](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation).
///
/// Pass it bytes as they are read, split anywhere. It calls back for each event as soon as its blank line arrives:
///
/// ```swift
/// var parser = ServerSentEventParser()
/// for try await chunk in body {
///     try parser.parse(chunk) { event in print(event.type ?? "message", event.data) }
/// }
/// ```
///
/// The end of the stream needs no call: an event without its blank line is never dispatched.
///
/// Memory is bounded by ``maximumLineSize`` and ``maximumEventSize``. Time is linear in the bytes, whatever the sizes
/// of reads and events. The parser is a value: a copy continues independently.
public struct ServerSentEventParser: Sendable {
    /// The default limit for lines and events: 16 MiB.
    public static let defaultMaximumSize = 16 * 1024 * 1024

    /// The maximum size of a line in bytes, without its line end.
    ///
    /// Default: 16 MiB.
    public let maximumLineSize: Int

    /// The maximum size of an event's data, type and ID together, in bytes.
    ///
    /// Default: 16 MiB.
    public let maximumEventSize: Int

    /// The unfinished line.
    @usableFromInline var line = ParserBuffer()
    /// The lines of data since the last blank line, while `hasData`.
    @usableFromInline var data = ParserBuffer()
    @usableFromInline var fields: ParserFields
    @usableFromInline var hasData = false

    // The block's state between reads.
    @usableFromInline var hasID = false
    @usableFromInline var retry: Int64 = -1
    @usableFromInline var eventSize = 0

    /// The last valid retry field, in milliseconds; −1 for none.
    var reconnection: Int64 = -1
    /// How many bytes of a byte order mark the stream has begun with; 3 after the start.
    var markBytes = 0
    /// The last read ended with CR, so an LF at the start of the next belongs to the same line end.
    @usableFromInline var skipsLineFeed = false
    /// The start is past and there is no line feed to skip.
    @usableFromInline var isReady = false
    /// The number of bytes in earlier reads.
    @usableFromInline var consumed = 0
    /// The number of lines that have ended.
    @usableFromInline var lines = 0
    /// The stream offset at which `line` begins.
    @usableFromInline var lineOffset = 0
    /// A buffer has grown past `ParserBuffer.keptCapacity`.
    var hasLargeBuffer = false
    /// The spare fields are current: from the end of a read until `putBack`.
    var hasNewFields = false
    var failure: ServerSentEventParserError?

    /// Creates a parser for a stream.
    ///
    /// - Parameters:
    ///   - lastEventID: The last event ID of an earlier connection, kept until the stream sets another. Default: the
    ///     empty string, for none.
    ///   - maximumLineSize: The maximum size of a line in bytes, at least 1; `.max` for no limit. Default: 16 MiB.
    ///   - maximumEventSize: The maximum size of an event's data, type and ID together in bytes, at least 1; `.max` for
    ///     no limit. Default: 16 MiB.
    public init(
        lastEventID: String = "",
        maximumLineSize: Int = defaultMaximumSize,
        maximumEventSize: Int = defaultMaximumSize
    ) {
        precondition(maximumLineSize > 0 && maximumEventSize > 0, "A parser's limits must be at least 1 byte.")
        self.maximumLineSize = maximumLineSize
        self.maximumEventSize = maximumEventSize
        fields = ParserFields(lastEventID: lastEventID)
    }

    /// The ID of the last finished block that had one, or else the initial one; empty for none.
    ///
    /// A client sends it in the `Last-Event-ID` header to resume. A block without data sets it too.
    public var lastEventID: String { fields.lastEventID }

    /// The last reconnection time in the stream; nil for none.
    ///
    /// At most 2^53 − 1 milliseconds. It takes effect at the end of its line, whether or not an event follows.
    public var reconnectionTime: Duration? { reconnection < 0 ? nil : .milliseconds(reconnection) }

    /// Whether an event or a line is unfinished.
    package var isWithinEvent: Bool {
        !line.isEmpty || hasData || hasID || retry >= 0 || fields.typeCount > 0
    }

    /// Prepares for a new stream, after an error or when a client reconnects.
    ///
    /// Drops an unfinished event. Keeps ``lastEventID`` and ``reconnectionTime``, as browsers do.
    public mutating func reset() {
        var fresh = ServerSentEventParser(
            lastEventID: lastEventID,
            maximumLineSize: maximumLineSize,
            maximumEventSize: maximumEventSize
        )
        fresh.reconnection = reconnection
        self = fresh
    }
}
