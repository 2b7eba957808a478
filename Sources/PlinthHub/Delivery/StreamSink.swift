// SPDX-License-Identifier: Apache-2.0

/// The connections of a ``Distributor``, by slot.
package protocol StreamSink: AnyObject {
    /// Writes what fits without waiting.
    ///
    /// If bytes remain, ``Distributor/isWritable(_:_:now:)`` is called when there is room again.
    ///
    /// - Parameters:
    ///   - bytes: The bytes to write; valid for the duration of the call.
    ///   - slot: The connection.
    /// - Returns: The number of bytes taken, or the reason why the connection is unusable.
    func write(_ bytes: UnsafeRawBufferPointer, to slot: Int) -> StreamWrite
}
