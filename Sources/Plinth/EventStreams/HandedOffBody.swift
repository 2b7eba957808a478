// SPDX-License-Identifier: Apache-2.0

/// A response body whose events do not come from an application's channel: a hub's stream.
///
/// A connector that knows the type hands off the connection after writing the head. Tests without a socket begin the
/// stream on a connection in memory.
package protocol HandedOffBody: Sendable {
    /// Begins the stream on a connection in memory.
    func begin(on connection: any MemoryConnection) -> any MemoryStream
}

/// A client's connection in memory; its head has been written.
package protocol MemoryConnection: AnyObject, Sendable {
    /// The current time of the connection's clock.
    var now: MonotonicTime { get }

    /// Accepts bytes of the body.
    ///
    /// Called under the stream's lock: it must not call the stream.
    ///
    /// - Returns: The number of bytes accepted: all, or 0 while the client reads nothing.
    func take(_ bytes: UnsafeRawBufferPointer) -> Int

    /// Schedules a call of ``MemoryStream/tick()``, replacing the one scheduled before.
    func schedule(at time: MonotonicTime)

    /// Called when the stream has ended.
    func finish(_ end: StreamEnd)
}

/// A stream on a connection in memory; its methods may be called from any thread.
package protocol MemoryStream: AnyObject, Sendable {
    /// Called at the scheduled time.
    func tick()
    /// Called when the client reads again.
    func hasRoom()
    /// Called when the client has left.
    func leave(_ end: StreamEnd)
    /// Ends the stream for a shutdown and completes its body.
    func drain()
}
