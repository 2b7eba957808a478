// SPDX-License-Identifier: Apache-2.0

import PlinthEvents

#if Client
public import NIOCore
#endif

extension AsyncSequence where Element == UInt8 {
    /// The events of a response that comes byte by byte.
    ///
    /// Chunks are many times faster, where there are some.
    public var events: ResponseEvents<Self> { events() }

    /// The events of a response that comes byte by byte.
    ///
    /// - Parameters:
    ///   - terminator: The event that ends the response: without it the iteration throws at the end of the bytes. None
    ///     unless given.
    ///   - maximumEventSize: The bytes that an event may have; 2 MiB unless given, `.max` for no limit.
    /// - Returns: The events.
    public func events(until terminator: EventTerminator? = nil, maximumEventSize: Int = 2 << 20)
        -> ResponseEvents<Self>
    {
        ResponseEvents(self, until: terminator, maximumEventSize: maximumEventSize) {
            (byte, collector, batch) throws(ServerSentEventParserError) in
            let bytes: [UInt8] = [byte]
            try collector.collect(bytes.span, into: &batch)
        }
    }
}

extension AsyncSequence where Element: Collection<UInt8>, Element: SendableMetatype {
    /// The events of a response that comes in chunks of bytes.
    public var events: ResponseEvents<Self> { events() }

    /// The events of a response that comes in chunks of bytes: arrays, slices, `Data`, views of buffers.
    ///
    /// - Parameters:
    ///   - terminator: The event that ends the response: without it the iteration throws at the end of the bytes. None
    ///     unless given.
    ///   - maximumEventSize: The bytes that an event may have; 2 MiB unless given, `.max` for no limit.
    /// - Returns: The events.
    public func events(until terminator: EventTerminator? = nil, maximumEventSize: Int = 2 << 20)
        -> ResponseEvents<Self>
    {
        ResponseEvents(self, until: terminator, maximumEventSize: maximumEventSize) {
            (chunk, collector, batch) throws(ServerSentEventParserError) in
            try collector.collect(Array(chunk).span, into: &batch)
        }
    }
}

#if Client

extension AsyncSequence where Element == ByteBuffer {
    /// The events of a response that comes in buffers.
    public var events: ResponseEvents<Self> { events() }

    /// The events of a response that comes in buffers, as AsyncHTTPClient's bodies do.
    ///
    /// ```swift
    /// for try await event in response.body.events(until: .data("[DONE]")) { print(event.data) }
    /// ```
    ///
    /// - Parameters:
    ///   - terminator: The event that ends the response: without it the iteration throws at the end of the bytes. None
    ///     unless given.
    ///   - maximumEventSize: The bytes that an event may have; 2 MiB unless given, `.max` for no limit.
    /// - Returns: The events.
    public func events(until terminator: EventTerminator? = nil, maximumEventSize: Int = 2 << 20)
        -> ResponseEvents<Self>
    {
        ResponseEvents(self, until: terminator, maximumEventSize: maximumEventSize) {
            (buffer, collector, batch) throws(ServerSentEventParserError) in
            try buffer.withSpan { (bytes) throws(ServerSentEventParserError) in
                try collector.collect(bytes, into: &batch)
            }
        }
    }
}

extension ByteBuffer {
    /// Lends the readable bytes.
    fileprivate func withSpan(
        _ use: (Span<UInt8>) throws(ServerSentEventParserError) -> Void
    ) throws(ServerSentEventParserError) {
        // A result, since the buffer's own call does not say what is thrown.
        let result: Result<Void, ServerSentEventParserError> = withUnsafeReadableBytes { bytes in
            do throws(ServerSentEventParserError) {
                return .success(try use(bytes.bindMemory(to: UInt8.self).span))
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }
}

#endif
