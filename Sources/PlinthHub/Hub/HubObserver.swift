// SPDX-License-Identifier: Apache-2.0

/// Is notified when streams begin and end.
///
/// Called on the threads that serve streams and in the tasks that open them: return quickly, and move longer work to a
/// task.
public protocol HubObserver: Sendable {
    /// A stream begins, before its first event; over HTTP, after its response head was written.
    func streamBegan(_ stream: HubStream)

    /// A stream has ended; over HTTP, its connection or HTTP/2 stream is closed.
    ///
    /// - Parameters:
    ///   - stream: The stream.
    ///   - end: The reason.
    func streamEnded(_ stream: HubStream, _ end: StreamEnd)
}
