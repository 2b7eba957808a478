// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthHub
import Synchronization

/// Limits the number of a service's streams: in all, for each address, and for each subject.
///
/// One lock, held for at most three look-ups. It holds one number for each address and subject with open streams, unless
/// they have no limit.
final class OpenCounts: Sendable {
    /// The most open streams.
    struct Limits: Sendable {
        /// In all.
        var total: Int
        /// Of an address; nil for any number.
        var ofAddress: Int?
        /// Of a subject; nil for any number.
        var ofSubject: Int?
    }

    /// The limit that refuses a stream.
    enum Bound: Error, Equatable {
        case total
        case address
        case subject

        /// Its name in metrics.
        var counted: CountedLimit {
            switch self {
            case .total: .streams
            case .address: .streamsOfAddress
            case .subject: .streamsOfSubject
            }
        }
    }

    private struct State {
        var total = 0
        var addresses: [AddressKey: Int] = [:]
        var subjects: [HubSubject: Int] = [:]
    }

    private let limits: Limits
    private let state = Mutex(State())

    init(_ limits: Limits) {
        self.limits = limits
    }

    /// The number of open streams.
    var count: Int { state.withLock { $0.total } }

    /// Takes a permit for one stream.
    ///
    /// - Parameters:
    ///   - address: The client's address; nil if it has none.
    ///   - subject: The client's subject; nil for an anonymous one.
    /// - Returns: The permit, which counts until it is released.
    /// - Throws: The limit that is reached: the narrower one if several are.
    func take(address: AddressKey?, subject: HubSubject?) throws(Bound) -> OpenPermit {
        let address = limits.ofAddress == nil ? nil : address
        let subject = limits.ofSubject == nil ? nil : subject
        let bound: Bound? = state.withLock { state in
            let ofSubject = subject.map { state.subjects[$0, default: 0] } ?? 0
            if let most = limits.ofSubject, subject != nil, ofSubject >= most { return .subject }
            let ofAddress = address.map { state.addresses[$0, default: 0] } ?? 0
            if let most = limits.ofAddress, address != nil, ofAddress >= most { return .address }
            guard state.total < limits.total else { return .total }
            state.total += 1
            if let subject { state.subjects[subject] = ofSubject + 1 }
            if let address { state.addresses[address] = ofAddress + 1 }
            return nil
        }
        if let bound { throw bound }
        return OpenPermit(self, address, subject)
    }

    fileprivate func giveBack(_ address: AddressKey?, _ subject: HubSubject?) {
        state.withLock { state in
            state.total -= 1
            if let address { Self.decrement(&state.addresses, address) }
            if let subject { Self.decrement(&state.subjects, subject) }
        }
    }

    private static func decrement<Key>(_ counts: inout [Key: Int], _ key: Key) {
        let count = counts[key, default: 0]
        counts[key] = count > 1 ? count - 1 : nil
    }

    /// How many addresses and subjects are counted.
    var keyCount: Int { state.withLock { $0.addresses.count + $0.subjects.count } }
}

/// A permit for one stream, returned by `release()` or `deinit`.
final class OpenPermit: Sendable {
    private let counts: OpenCounts
    private let address: AddressKey?
    private let subject: HubSubject?
    private let isReleased = Atomic<Bool>(false)

    fileprivate init(_ counts: OpenCounts, _ address: AddressKey?, _ subject: HubSubject?) {
        self.counts = counts
        self.address = address
        self.subject = subject
    }

    deinit {
        release()
    }

    /// Returns the permit; further calls do nothing.
    func release() {
        if !isReleased.exchange(true, ordering: .relaxed) { counts.giveBack(address, subject) }
    }
}

#endif
