// SPDX-License-Identifier: Apache-2.0

/// An incremental parser of event streams, the HTML standard's section
/// [9.2.6](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation) step by step.
///
/// Give it the bytes as they are read, split anywhere; it calls back for each event as soon as its blank line is there:
///
/// ```swift
/// var parser = ServerSentEventParser()
/// for try await chunk in body {
///     try parser.parse(chunk) { event in print(event.type ?? "message", event.data) }
/// }
/// ```
///
/// At the end of the stream there is nothing to do: an event without its blank line is never dispatched.
///
/// Memory is bounded by ``maximumLineSize`` and ``maximumEventSize``; time is linear in the bytes, whatever the size
/// of the reads and events. The parser is a value: a copy goes on by itself.
public struct ServerSentEventParser: Sendable {
    /// The size of lines and events that is accepted unless said otherwise: 16 MiB.
    public static let defaultMaximumSize = 16 * 1024 * 1024

    /// The bytes that a line may have, its end not counted; 16 MiB by default.
    public let maximumLineSize: Int

    /// The bytes that data, type and ID of an event may have together; 16 MiB by default.
    public let maximumEventSize: Int

    /// The line that has not ended yet.
    @usableFromInline var line = ParserBuffer()
    /// The lines of data since the last blank line, while `hasData`.
    @usableFromInline var data = ParserBuffer()
    @usableFromInline var fields: ParserFields
    @usableFromInline var hasData = false

    // Of the block, between reads.
    @usableFromInline var hasID = false
    @usableFromInline var retry: Int64 = -1
    @usableFromInline var eventSize = 0

    /// The last valid retry field, in milliseconds; −1 for none.
    var reconnection: Int64 = -1
    /// The bytes of a byte order mark seen at the start; 3 once the start is over.
    var markBytes = 0
    /// The last read ended with CR, which has ended its line: an LF at the start of the next belongs to it.
    @usableFromInline var skipsLineFeed = false
    /// The start is over and there is no line feed to skip.
    @usableFromInline var isReady = false
    /// Bytes of earlier reads.
    @usableFromInline var consumed = 0
    /// Lines that have ended.
    @usableFromInline var lines = 0
    /// Where the line in `line` began.
    @usableFromInline var lineOffset = 0
    /// A buffer has grown past `ParserBuffer.keptCapacity`.
    var hasLargeBuffer = false
    /// The spare fields are the current ones: from the end of a read until its buffers are back.
    var hasNewFields = false
    var failure: ServerSentEventParserError?

    /// Creates a parser for a stream.
    ///
    /// - Parameters:
    ///   - lastEventID: The last event ID of an earlier connection, which stays until the stream sets another. Default
    ///     none, the empty string.
    ///   - maximumLineSize: The bytes that a line may have, at least 1. Default 16 MiB; `.max` for no limit.
    ///   - maximumEventSize: The bytes that data, type and ID of an event may have together, at least 1. Default
    ///     16 MiB; `.max` for no limit.
    public init(
        lastEventID: String = "",
        maximumLineSize: Int = defaultMaximumSize,
        maximumEventSize: Int = defaultMaximumSize
    ) {
        precondition(maximumLineSize > 0 && maximumEventSize > 0, "The limits of a parser are at least 1 byte.")
        self.maximumLineSize = maximumLineSize
        self.maximumEventSize = maximumEventSize
        fields = ParserFields(lastEventID: lastEventID)
    }

    /// The last event ID: of the last block that had one and ended with its blank line.
    ///
    /// Empty if there is none.
    /// This is what a client sends in the `Last-Event-ID` header to resume. A block without data moves it too.
    public var lastEventID: String { fields.lastEventID }

    /// The reconnection time that the stream asked for last; nil if it did not.
    ///
    /// At most 2^53 − 1 milliseconds. It holds from the end of its line, whether or not an event follows.
    public var reconnectionTime: Duration? { reconnection < 0 ? nil : .milliseconds(reconnection) }

    /// Whether an event, or a line, has begun and not ended.
    package var isWithinEvent: Bool {
        !line.isEmpty || hasData || hasID || retry >= 0 || fields.typeCount > 0
    }

    /// Prepares for a new stream: after an error, or when a client connects again.
    ///
    /// An unfinished event is dropped; ``lastEventID`` and ``reconnectionTime`` stay, as they do in browsers.
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
