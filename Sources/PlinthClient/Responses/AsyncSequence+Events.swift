// SPDX-License-Identifier: Apache-2.0

import PlinthEvents

#if Client
public import NIOCore
#endif

extension AsyncSequence where Element == UInt8 {
    /// The events of a response received byte by byte.
    ///
    /// Chunks are many times faster, where available.
    public var events: ResponseEvents<Self> { events() }

    /// The events of a response received byte by byte.
    ///
    /// - Parameters:
    ///   - terminator: The event that ends the response; the iteration throws if the bytes end without it. Default:
    ///     none.
    ///   - maximumEventSize: The maximum size of an event in bytes; the iteration throws if one is larger. Default:
    ///     2 MiB; `.max` for no limit.
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
    /// The events of a response received in chunks of bytes.
    public var events: ResponseEvents<Self> { events() }

    /// The events of a response received in chunks of bytes: arrays, slices, `Data`, buffer views.
    ///
    /// - Parameters:
    ///   - terminator: The event that ends the response; the iteration throws if the bytes end without it. Default:
    ///     none.
    ///   - maximumEventSize: The maximum size of an event in bytes; the iteration throws if one is larger. Default:
    ///     2 MiB; `.max` for no limit.
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
    /// The events of a response received in buffers.
    public var events: ResponseEvents<Self> { events() }

    /// The events of a response received in buffers, as from AsyncHTTPClient.
    ///
    /// ```swift
    /// for try await event in response.body.events(until: .data("[DONE]")) { print(event.data) }
    /// ```
    ///
    /// - Parameters:
    ///   - terminator: The event that ends the response; the iteration throws if the bytes end without it. Default:
    ///     none.
    ///   - maximumEventSize: The maximum size of an event in bytes; the iteration throws if one is larger. Default:
    ///     2 MiB; `.max` for no limit.
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
    /// Passes the readable bytes to a closure.
    fileprivate func withSpan(
        _ use: (Span<UInt8>) throws(ServerSentEventParserError) -> Void
    ) throws(ServerSentEventParserError) {
        // A result, since `withUnsafeReadableBytes` does not support typed throws.
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
