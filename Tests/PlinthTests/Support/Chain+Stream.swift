// SPDX-License-Identifier: Apache-2.0

import Plinth
import Synchronization

/// An error for tests.
struct Mishap: Error, Equatable, CustomStringConvertible {
    var description = "mishap"
}

/// The open channels of an application.
final class Registry: Sendable {
    private let storage = Mutex<[EventChannel]>([])

    var channels: [EventChannel] { storage.withLock { $0 } }

    func add(_ channel: EventChannel) {
        storage.withLock { $0.append(channel) }
    }

    func remove(_ channel: EventChannel) {
        storage.withLock { $0.removeAll { $0 === channel } }
    }
}

extension Chain {
    /// A chain of one interceptor that starts an event stream.
    static func stream(
        options: EventStreamOptions = .init(),
        lifetime: EventStream.Lifetime = .scoped,
        onDisconnect: EventStream.OnDisconnect? = nil,
        _ ready: @escaping EventStream.Ready
    ) -> Chain {
        Chain([
            Interceptor(
                "stream",
                enter: { context in
                    try await context.startEventStream(
                        options: options,
                        lifetime: lifetime,
                        onDisconnect: onDisconnect,
                        ready
                    )
                }
            )
        ])
    }
}
