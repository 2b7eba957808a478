// SPDX-License-Identifier: Apache-2.0

extension ServerSentEventParser {
    /// Parses the next bytes of the stream and calls `event` for each event that they complete.
    ///
    /// Invalid UTF-8 is repaired as the Encoding standard's decoder does: one U+FFFD for each maximal invalid subpart,
    /// including sequences split across reads.
    ///
    /// - Parameters:
    ///   - bytes: The next bytes, split anywhere; may be empty.
    ///   - event: Called for each event, in order. Its `id` is its own; ``lastEventID`` is current after the call.
    /// - Throws: ``ServerSentEventParserError`` for a line or event above its limit, after delivering the events before
    ///   it. The parser then throws the same error for all further bytes until ``reset()``; ``lastEventID`` and
    ///   ``reconnectionTime`` are kept.
    @inlinable
    public mutating func parse(
        _ bytes: Span<UInt8>,
        _ event: (ServerSentEvent) -> Void
    ) throws(ServerSentEventParserError) {
        // The span is borrowed until this returns, and its memory with it.
        let buffer = unsafe bytes.withUnsafeBytes { unsafe $0 }
        try unsafe run(
            buffer,
            event: { type, data, lastID, hasID, retry in
                unsafe event(
                    ServerSentEvent(
                        checkedType: type.isEmpty
                            ? nil : .init(unchecked: String(repairing: type)),
                        data: String(repairing: data),
                        checkedID: hasID ? .init(unchecked: String(repairing: lastID)) : nil,
                        retryMilliseconds: retry
                    )
                )
            },
            comment: { _ in },
            fields: { _, _, _ in }
        )
    }

    /// Parses the next bytes of the stream and delivers what they complete as borrowed bytes, without allocating.
    ///
    /// The closures are called in stream order. Their arguments are valid until they return.
    ///
    /// - Parameters:
    ///   - bytes: The next bytes, split anywhere; may be empty.
    ///   - event: Called for each event.
    ///   - comment: Called for each comment as soon as its line ends, with everything after the colon.
    ///   - fields: Called for each block with an ID or a reconnection time but no data, which dispatches no event. Its
    ///     `data` is empty.
    /// - Throws: ``ServerSentEventParserError`` for a line or event above its limit, after delivering everything before
    ///   it. The parser then throws the same error for all further bytes until ``reset()``.
    @inlinable
    @inline(__always)
    public mutating func parseBorrowed(
        _ bytes: Span<UInt8>,
        event: (borrowing ServerSentEventView) -> Void,
        comment: (Span<UInt8>) -> Void = { _ in },
        fields: (borrowing ServerSentEventView) -> Void = { _ in }
    ) throws(ServerSentEventParserError) {
        // The span is borrowed until this returns, and its memory with it.
        let buffer = unsafe bytes.withUnsafeBytes { unsafe $0 }
        try unsafe run(
            buffer,
            event: { type, data, lastID, hasID, retry in
                unsafe event(
                    ServerSentEventView(
                        type: Span(_unsafeBytes: type),
                        data: Span(_unsafeBytes: data),
                        lastEventID: Span(_unsafeBytes: lastID),
                        hasID: hasID,
                        retryMilliseconds: retry
                    )
                )
            },
            comment: { unsafe comment(Span(_unsafeBytes: $0)) },
            fields: { lastID, hasID, retry in
                let empty = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
                unsafe fields(
                    ServerSentEventView(
                        type: Span(_unsafeBytes: empty),
                        data: Span(_unsafeBytes: empty),
                        lastEventID: Span(_unsafeBytes: lastID),
                        hasID: hasID,
                        retryMilliseconds: retry,
                        hasData: false
                    )
                )
            }
        )
    }

    /// Parses the next bytes of the stream from any collection: `[UInt8]`, `UnsafeRawBufferPointer`, a buffer's view.
    ///
    /// Behaves as with a `Span`. Copies bytes that are not contiguous.
    ///
    /// - Parameters:
    ///   - bytes: The next bytes, split anywhere; may be empty.
    ///   - event: Called for each event, in order.
    /// - Throws: ``ServerSentEventParserError`` for a line or event above its limit, after delivering the events before
    ///   it.
    @inlinable
    public mutating func parse(
        _ bytes: some Collection<UInt8>,
        _ event: (ServerSentEvent) -> Void
    ) throws(ServerSentEventParserError) {
        // Returns a result: if the closure assigns a captured error, Swift 6.3.1 reads an error where there is none in
        // optimized builds.
        let result: Result<Void, ServerSentEventParserError>? = bytes.withContiguousStorageIfAvailable { buffer in
            do throws(ServerSentEventParserError) {
                try unsafe parse(Span(_unsafeElements: buffer), event)
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        switch result {
        case .success?: break
        case .failure(let error)?: throw error
        case nil: try parse(Array(bytes).span, event)
        }
    }

    /// Parses the next bytes of the stream from any collection and delivers borrowed bytes.
    ///
    /// Behaves as with a `Span`. Copies bytes that are not contiguous.
    ///
    /// - Parameters:
    ///   - bytes: The next bytes, split anywhere; may be empty.
    ///   - event: Called for each event.
    ///   - comment: Called for each comment as soon as its line ends.
    ///   - fields: Called for each block with an ID or a reconnection time but no data.
    /// - Throws: ``ServerSentEventParserError`` for a line or event above its limit, after delivering everything before
    ///   it.
    @inlinable
    @inline(__always)
    public mutating func parseBorrowed(
        _ bytes: some Collection<UInt8>,
        event: (borrowing ServerSentEventView) -> Void,
        comment: (Span<UInt8>) -> Void = { _ in },
        fields: (borrowing ServerSentEventView) -> Void = { _ in }
    ) throws(ServerSentEventParserError) {
        // Returns a result: if the closure assigns a captured error, Swift 6.3.1 reads an error where there is none in
        // optimized builds.
        let result: Result<Void, ServerSentEventParserError>? = bytes.withContiguousStorageIfAvailable { buffer in
            do throws(ServerSentEventParserError) {
                try unsafe parseBorrowed(Span(_unsafeElements: buffer), event: event, comment: comment, fields: fields)
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        switch result {
        case .success?: break
        case .failure(let error)?: throw error
        case nil: try parseBorrowed(Array(bytes).span, event: event, comment: comment, fields: fields)
        }
    }
}
