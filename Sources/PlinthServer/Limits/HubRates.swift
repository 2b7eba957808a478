// SPDX-License-Identifier: Apache-2.0

#if Server

import HTTPTypes
import Plinth
import PlinthHub
import PlinthStreams

/// The rates of a hub's clients, shared by all copies of its endpoints.
final class HubRates: Sendable {
    /// Whose rate it is.
    enum Client: Hashable, Sendable {
        case subject(HubSubject)
        case address(AddressKey)

        /// Nil for an anonymous request without an address, as on a Unix socket.
        init?(_ grant: HubGrant, _ request: Request) {
            if let subject = grant.subject {
                self = .subject(subject)
            } else if let address = request.clientAddress.flatMap(AddressKey.init) {
                self = .address(address)
            } else {
                return nil
            }
        }
    }

    private let publishes: RateLimiter<Client>?
    private let refusals: RateLimiter<AddressKey>?

    init(_ limits: HubLimits) {
        publishes =
            limits.publishesPerSecond == nil && limits.bytesPerSecond == nil
            ? nil : RateLimiter(RateLimit(events: limits.publishesPerSecond, bytes: limits.bytesPerSecond))
        refusals = limits.refusedTokensPerMinute.map { RateLimiter(RateLimit(events: $0, window: .seconds(60))) }
    }

    /// How long a publisher has to wait before it may publish this; nil if it may now.
    func wait(_ grant: HubGrant, _ request: Request, events: Int, bytes: Int, now: MonotonicTime) -> Duration? {
        guard let publishes, let client = Client(grant, request) else { return nil }
        if case .refused(let wait) = publishes.take(client, events: events, bytes: bytes, now: now) { return wait }
        return nil
    }

    /// How long an address that has sent too many tokens that were refused has to wait; nil if it need not.
    ///
    /// Takes nothing: only a token that is refused counts.
    func waitAfterRefusals(of request: Request, now: MonotonicTime) -> Duration? {
        guard let refusals, let address = request.clientAddress.flatMap(AddressKey.init) else { return nil }
        return refusals.wait(address, now: now)
    }

    /// Counts a token that was refused.
    func refused(_ request: Request, now: MonotonicTime) {
        guard let refusals, let address = request.clientAddress.flatMap(AddressKey.init) else { return }
        _ = refusals.take(address, now: now)
    }
}

#endif
