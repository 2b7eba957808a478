// SPDX-License-Identifier: Apache-2.0

/// The connections of a ``Distributor``, by the number of their slot.
package protocol StreamSink: AnyObject {
    /// Writes what fits without waiting.
    ///
    /// If that is not all, ``Distributor/isWritable(_:_:now:)`` is called when there is room again.
    ///
    /// - Parameters:
    ///   - bytes: What to write; valid for the duration of the call.
    ///   - slot: The connection.
    /// - Returns: How many bytes were taken, or why the connection is of no use any more.
    func write(_ bytes: UnsafeRawBufferPointer, to slot: Int) -> StreamWrite
}
