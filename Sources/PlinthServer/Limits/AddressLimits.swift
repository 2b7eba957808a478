// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import Synchronization

/// Counts the connections of each address; beyond the limit none is admitted.
///
/// Without I/O: ``AddressLimitHandler`` closes the connections. It holds one number for each address with connections.
final class AddressLimits: Sendable {
    /// What to do with a connection.
    enum Admission: Equatable {
        /// It is not counted: it has no address, or is a trusted proxy's.
        case uncounted
        /// It counts until ``release(_:)``.
        case counted(AddressKey)
        /// It is closed; `unreported` is the number of refused connections to log now, nil for not logging.
        case refused(unreported: Int?)
    }

    private struct State {
        var counts: [AddressKey: Int] = [:]
        var unreported = 0
        var quietUntil = MonotonicTime(nanoseconds: .min)
    }

    /// Refusals are logged at most this often.
    static let reportInterval = Duration.seconds(10)

    let maximum: Int
    private let trusted: TrustedProxies
    private let state = Mutex(State())

    /// Creates a limit.
    ///
    /// - Parameters:
    ///   - maximum: The most connections of an address.
    ///   - trusted: Proxies, which have the connections of many clients, and no limit.
    init(maximum: Int, trusted: TrustedProxies) {
        self.maximum = maximum
        self.trusted = trusted
    }

    /// Admits or refuses a new connection.
    ///
    /// - Parameters:
    ///   - address: The peer's IP address; nil for a Unix socket.
    ///   - now: The time.
    /// - Returns: Whether it is admitted.
    func admit(_ address: String?, now: MonotonicTime) -> Admission {
        guard let address, let key = AddressKey(address), !trusted.contains(address) else { return .uncounted }
        return state.withLock { state in
            let count = state.counts[key, default: 0]
            if count < maximum {
                state.counts[key] = count + 1
                return .counted(key)
            }
            state.unreported += 1
            guard now >= state.quietUntil else { return .refused(unreported: nil) }
            defer { state.unreported = 0 }
            state.quietUntil = now + Self.reportInterval
            return .refused(unreported: state.unreported)
        }
    }

    /// A counted connection is closed.
    func release(_ key: AddressKey) {
        state.withLock { state in
            let count = state.counts[key, default: 0]
            state.counts[key] = count > 1 ? count - 1 : nil
        }
    }

    /// The number of addresses with connections.
    var addressCount: Int { state.withLock { $0.counts.count } }
}

#endif
